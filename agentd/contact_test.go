package agentd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/contact"
)

// told lists what the log says of etcd and of processes because of it, from a moment on.
func told(logs *observer.ObservedLogs, from time.Time) (lines []string) {
	for _, e := range logs.All() {
		about := strings.Contains(e.Message, "etcd is silent") || strings.Contains(e.Message, "etcd answers") || strings.Contains(e.Message, "stopped")
		if e.LoggerName == "m1" && about {
			fields := e.ContextMap()
			lines = append(lines, fmt.Sprintf("%4.1f s %s: %s %v %v %v", e.Time.Sub(from).Seconds(), e.Level, e.Message, fields["for"], fields["after"], fields["processes"]))
		}
	}
	return lines
}

// TestTheLogTellsOfALostEtcd: it had not one line about the loss, the fence or the return.
func TestTheLogTellsOfALostEtcd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		logs := w.observe()
		b := w.box("m1").up()
		web, db := w.place(b, "web"), w.place(b, "db", keep)
		w.status(b, "web", web, running)
		w.status(b, "db", db, running)
		b.keeper.StopTakes("web", time.Hour)
		cut := time.Now()
		b.kv.Cut()
		time.Sleep(41 * time.Second)
		if h := b.agent.Health(); h.Etcd != contact.StateSilent || h.Connected || h.Problem != "" {
			t.Errorf("health: %+v", h)
		}
		b.kv.Heal()
		w.status(b, "web", web, running)
		time.Sleep(time.Second)
		lines := told(logs, cut)
		for i, want := range []string{
			"warn: etcd is silent 1.2 s <nil> [web goes on until its deadline in ",
			"warn: processes are being stopped, since no renewal came from etcd <nil> <nil> web",
			"warn: processes were stopped, since no renewal came from etcd <nil> <nil> web",
			"warn: etcd answers again <nil> 41 s [web was stopped here ",
			"info: processes that were stopped run again here <nil> <nil> web",
		} {
			if i >= len(lines) || !strings.Contains(lines[i], want) {
				t.Fatalf("line %d: want %s, all are\n%s", i, want, strings.Join(lines, "\n"))
			}
		}
		if len(lines) != 5 || !strings.Contains(lines[0], "db runs on without etcd (on_partition = keep)") {
			t.Errorf("all are\n%s", strings.Join(lines, "\n"))
		}
		if h := b.agent.Health(); h.Etcd != contact.StateAnswers || !h.Connected || h.Problem != "" {
			t.Errorf("health at the end: %+v", h)
		}
	})
}

func TestABlipOfEtcdIsNotLogged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		logs := w.observe()
		b := w.box("m1").up()
		web := w.place(b, "web", func(p *api.Placement) { p.Process.TouchTimeout = 2 })
		w.status(b, "web", web, running)
		time.Sleep(time.Second)
		b.kv.Cut()
		time.Sleep(600 * time.Millisecond)
		b.kv.Heal()
		time.Sleep(time.Minute)
		if lines := told(logs, time.Now()); len(lines) != 0 {
			t.Errorf("of 0.6 s the log tells\n%s", strings.Join(lines, "\n"))
		}
	})
}

// TestHistorySaysWhenThingsHappenedAndWhenItWasTold: what etcd could not be told for minutes had the time of the telling, and a process
// that was stopped because of that had "restarted: exit status 0".
func TestHistorySaysWhenThingsHappenedAndWhenItWasTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		web := w.place(b, "web")
		w.status(b, "web", web, running)
		cut := time.Now()
		b.kv.Cut()
		time.Sleep(9 * time.Minute)
		b.kv.Heal()
		healed := time.Now()
		w.status(b, "web", web, running)
		w.await("history", func() string { return none(len(w.history("web")) < 3) })
		all := w.history("web")
		fenced, started := all[1], all[2]
		if fenced.What != "fenced" || !strings.HasPrefix(fenced.Why, "no renewal from etcd for ") || fenced.At.Sub(cut) > 5*time.Second || fenced.Told.Before(healed) {
			t.Errorf("the fence: %+v", fenced)
		}
		if started.What != "started" || started.At.Before(healed) || !started.Told.IsZero() {
			t.Errorf("the start: %+v", started)
		}
		if !all[0].Told.IsZero() {
			t.Errorf("the first start, which was told at once: %+v", all[0])
		}
	})
}

// TestTheFleetIsToldWhatSomebodyStoppedHere: also when etcd was away then, and what was stopped was down by a fence.
func TestTheFleetIsToldWhatSomebodyStoppedHere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.box("m1").up()
		tokens := map[string]int64{"web": w.place(b, "web"), "db": w.place(b, "db", keep), "api": w.place(b, "api")}
		for name, token := range tokens {
			w.status(b, name, token, running)
		}
		stop := func(name string) {
			if err := b.keeper.StopByHand(t.Context(), keeper.Ref{ID: name, Token: tokens[name]}, "ann@m1"); err != nil {
				t.Fatal(err)
			}
		}
		byHand := func(s api.Status) bool { return s.Finished() && s.State == api.Stopped && s.StoppedBy == "ann@m1" }
		stop("api")
		w.status(b, "api", tokens["api"], byHand)
		b.kv.Cut()
		time.Sleep(time.Minute)
		stop("web")
		stop("db")
		time.Sleep(time.Minute)
		b.kv.Heal()
		for name, token := range tokens {
			w.status(b, name, token, byHand)
			all := w.history(name)
			if last := all[len(all)-1]; last.What != "stopped" || !strings.Contains(last.Why, "by ann@m1") {
				t.Errorf("the history of %s ends with %+v", name, last)
			}
		}
		time.Sleep(time.Minute)
		if n := len(w.witness.Copies("db")); n != 1 {
			t.Errorf("%d copies of db", n)
		}
	})
}

// observe has the agents' logs kept.
func (w *world) observe() *observer.ObservedLogs {
	seen, logs := observer.New(zapcore.InfoLevel)
	w.log = w.log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return zapcore.NewTee(c, seen) }))
	return logs
}
