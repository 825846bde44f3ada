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
//	delay METHOD MS     calls of this CRI method (or *) take that long, those under way included
//	error METHOD TEXT   they answer this error, after the delay
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

func (c *control) delay(method string) time.Duration {
	return max(c.delays[method], c.delays["*"])
}

func (c *control) failure(method string) string {
	if text := c.errors[method]; text != "" {
		return text
	}
	return c.errors["*"]
}
