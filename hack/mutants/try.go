package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/distsuper/distsuper/test/sim/mutants"
)

// Found is how a mutant was found; Promise is "" when it was not.
type Found struct {
	Promise string        // that was broken
	By      story         // that broke it
	Stories int           // that were played
	Time    time.Duration // that it took
}

func (f Found) by() string {
	if f.Promise == "" {
		return "NOT FOUND"
	}
	return string(f.By)
}

// try makes a mutant and plays. A story counts only when the product as it is keeps every promise in it.
func (c copied) try(ctx context.Context, m mutants.Mutant, seeds int, most time.Duration) (f Found, err error) {
	binary, err := c.mutate(ctx, m.Path)
	if err != nil {
		return f, err
	}
	began := time.Now()
	short, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	lines, err := playIn(short, binary, "-seeds", fmt.Sprint(seeds))
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	if err != nil {
		return f, err
	}
	var open map[story]bool
	f, open = judge(lines)
	if f.Promise == "" && short.Err() == nil {
		f.By, err = c.again(ctx, binary, open)
		if f.By != "" {
			f.Promise = stepEnds
		}
	}
	f.Time = time.Since(began)
	if err != nil || f.Promise == "" {
		return f, err
	}
	return f, c.keepsAll(ctx, f.By)
}

// judge reads what a process said: the broken promise, and which stories began and did not end.
func judge(lines []line) (f Found, open map[story]bool) {
	open = map[story]bool{}
	for _, l := range lines {
		switch {
		case !l.Ended:
			open[l.Story] = true
		default:
			delete(open, l.Story)
			f.Stories++
			if l.Promise != "" && f.Promise == "" {
				f.Promise, f.By = l.Promise, l.Story
			}
		}
	}
	return f, open
}

// again plays the stories that did not end when the process died or was killed, each by itself, and returns the first that does not
// end once more.
func (c copied) again(ctx context.Context, binary string, open map[story]bool) (story, error) {
	for s := range open {
		lines, err := playIn(ctx, binary, "-story", string(s))
		if err != nil {
			return "", err
		}
		if _, still := judge(lines); len(still) > 0 {
			return s, nil
		}
	}
	return "", nil
}

// keepsAll is an error unless the product as it is plays a story to its end without breaking a promise.
func (c copied) keepsAll(ctx context.Context, s story) error {
	lines, err := playIn(ctx, c.whole, "-story", string(s))
	if err != nil {
		return err
	}
	if f, open := judge(lines); f.Promise != "" || len(open) > 0 {
		return fmt.Errorf("%q breaks a promise without any mutant, too (%s): that is a fault of the product or of the simulator", s, f.Promise)
	}
	return nil
}

// playIn has a binary play, and returns what it said, up to the first promise that was broken. It is killed when one story lasts too long.
func playIn(ctx context.Context, binary string, args ...string) (all []line, err error) {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-play"}, args...)...)
	var why strings.Builder
	cmd.Stderr = &why
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	late := map[story]*time.Timer{}
	for in := bufio.NewScanner(out); in.Scan(); {
		var l line
		if json.Unmarshal(in.Bytes(), &l) != nil {
			break
		}
		all = append(all, l)
		if !l.Ended {
			late[l.Story] = time.AfterFunc(storyLimit, kill)
		} else if late[l.Story].Stop(); l.Promise != "" {
			break
		}
	}
	kill()
	err = cmd.Wait()
	if len(all) == 0 && err != nil {
		return nil, fmt.Errorf("%s played nothing: %w: %s", filepath.Base(binary), err, why.String())
	}
	return all, nil // how it ended says less than what it said
}
