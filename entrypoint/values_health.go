package entrypoint

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// MetricsDetail is how much is exported for each worker.
type MetricsDetail string

// The details.
const (
	DetailAuto  MetricsDetail = "auto"
	DetailFull  MetricsDetail = "full"
	DetailShort MetricsDetail = "short"
)

// parseAddress reads where to listen; none, and an empty flag, are nowhere.
func parseAddress(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == none {
		return "", nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", errors.New("want HOST:PORT or :PORT, such as :9180 or 127.0.0.1:9180, or none")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || !isDigits(port) {
		return "", errors.New("want a port from 0 to 65535 after the colon, or none")
	}
	if strings.Trim(host, " \t") != host {
		return "", errors.New("want no blanks in the host")
	}
	return text, nil
}

func parseReadyMin(text string) (int, error) { return parseCount(strings.TrimSpace(text), 1) }

// nowhere is the file that the word none stands for; no path can be it.
const nowhere = "\x00none"

// parseOutput reads a path and makes it absolute, because brood leaves the
// directory in which it was started.
func parseOutput(text string) (string, error) {
	switch text = strings.TrimSpace(text); text {
	case "":
		return "", nil
	case none:
		return nowhere, nil
	}
	return absolute(text)
}

// parseFile is parseOutput for what is only read: none is no file.
func parseFile(text string) (string, error) {
	if text = strings.TrimSpace(text); text == "" || text == none {
		return "", nil
	}
	return absolute(text)
}

func absolute(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("cannot make it absolute: %w", err)
	}
	return path, nil
}
