package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// control is what a test asks of a node; it is read anew at every use, so a change acts at once.
//
//	delay METHOD MS     calls of this CRI method take that long, those under way included
//	error METHOD TEXT   they answer this error, after the delay
//
// METHOD is * for all, or Relist for the one call by which the kubelet's pod lifecycle event
// generator lists all sandboxes. Anything wider also holds up /metrics, which asks the runtime for
// its statistics; a real kubelet has that too.
//
//	run MS              how long a container that ends by itself runs (1000)
//	boot MS             how long a reboot takes (500)
//	unready POD         commands in this pod, and so its exec probes, end with 1
//	down                the power is off
type control struct {
	delays  map[string]time.Duration
	errors  map[string]string
	unready map[string]bool
	run     time.Duration
	boot    time.Duration
	down    bool
}

func readControl(path string) (*control, error) {
	read := &control{
		delays: map[string]time.Duration{}, errors: map[string]string{}, unready: map[string]bool{},
		run: time.Second, boot: 500 * time.Millisecond,
	}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return read, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if err := read.line(lines.Text()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return read, lines.Err()
}

func (c *control) line(line string) (err error) {
	words := strings.Fields(line)
	switch {
	case len(words) == 0 || strings.HasPrefix(words[0], "#"):
	case words[0] == "delay" && len(words) == 3:
		c.delays[words[1]], err = milliseconds(words[2])
	case words[0] == "error" && len(words) > 2:
		c.errors[words[1]] = strings.Join(words[2:], " ")
	case words[0] == "run" && len(words) == 2:
		c.run, err = milliseconds(words[1])
	case words[0] == "boot" && len(words) == 2:
		c.boot, err = milliseconds(words[1])
	case words[0] == "unready" && len(words) == 2:
		c.unready[words[1]] = true
	case words[0] == "down" && len(words) == 1:
		c.down = true
	default:
		err = fmt.Errorf("%q is no instruction", line)
	}
	return err
}

func milliseconds(text string) (time.Duration, error) {
	number, err := strconv.ParseUint(text, 10, 32)
	return time.Duration(number) * time.Millisecond, err
}

// delay is the longest that is asked for a call that goes by any of these names, or by *.
func (c *control) delay(names []string) time.Duration {
	longest := c.delays["*"]
	for _, name := range names {
		longest = max(longest, c.delays[name])
	}
	return longest
}

func (c *control) failure(names []string) string {
	for _, name := range append(names, "*") {
		if text := c.errors[name]; text != "" {
			return text
		}
	}
	return ""
}
