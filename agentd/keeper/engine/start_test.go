package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// These tests hold what an agent relies on when it gives a start up: from the keeper's answer, or its silence, it
// concludes that nothing of the run is alive, so nothing may begin behind its back.

// abandoned is a context that has ended without anybody being woken by it: whoever does not ask goes on.
type abandoned struct{ context.Context }

func (abandoned) Err() error { return context.Canceled }

func TestAStartForAnotherKeeperIsRefused(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	request := keep(program("web", "exec sleep 1000"))
	request.Instance = "an earlier keeper"
	if err := k.call(call{Method: "start", Start: request}).err(); !errors.Is(err, keeper.ErrNotFound) {
		t.Errorf("a start for an earlier keeper: %v", err)
	}
	if r, there := k.look("web"); there {
		t.Errorf("the keeper took a start over that was meant for another one: %+v", r)
	}
	request.Instance = k.hello.Instance
	k.start(request)
	k.awaitState("web", api.Running)
}

func TestAStartUnderAForgottenTokenOrAnEarlierOneIsRefused(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	request := keep(program("web", "exec sleep 1000"))
	ref := k.start(request)
	k.must(call{Method: "stop", Ref: ref})
	k.awaitDone("web")
	k.must(call{Method: "forget", Ref: ref})
	for _, token := range []int64{ref.Token, ref.Token - 1} {
		request.Token = token
		if err := k.call(call{Method: "start", Start: request}).err(); !errors.Is(err, keeper.ErrToken) {
			t.Errorf("start under token %d after %d was forgotten: %v", token, ref.Token, err)
		}
	}
	if r, there := k.look("web"); there {
		t.Errorf("a refused run is there: %+v", r)
	}
	request.Token = ref.Token + 1
	k.start(request)
	k.awaitState("web", api.Running)
}

func TestAStartWhoseCallerHasGivenItUpDoesNotBegin(t *testing.T) {
	t.Parallel()
	k := startKeeper(t, t.TempDir(), either)
	request := keep(program("web", "exec sleep 1000"))
	err := k.call(call{Method: "start abandoned", Start: request}).err()
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("an abandoned start: %v", err)
	}
	if r, there := k.look("web"); there {
		t.Errorf("an abandoned start began: %+v", r)
	}
}
