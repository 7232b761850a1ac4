package entrypoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/joho/godotenv"
)

// longestFile bounds an env file: the kernel takes no larger environment
// either, with its default stack limit.
const longestFile = 2 << 20

// envFile is what a dotenv file says, sorted.
type envFile struct {
	settings map[string]string // BROOD_* that are settings, by variable
	ignored  []string          // BROOD_* that are not, or not in a file
	worker   []string          // all else, as KEY=VALUE, in order of KEY
}

// readEnvFile reads the file. Its errors name no content: it holds secrets.
func readEnvFile(path string, rows []bound) (envFile, error) {
	content, err := readBounded(path)
	if err != nil {
		return envFile{}, err
	}
	return parseEnvFile(content, rows)
}

// readWithin is how long a pipe may take to tell what is in it.
const readWithin = 5 * time.Second

func readBounded(path string) ([]byte, error) {
	// Non-blocking, and with a deadline: a FIFO may have no writer, or one that
	// never writes.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(readWithin)) // a file has none and needs none
	content, err := io.ReadAll(io.LimitReader(f, longestFile+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(content) > longestFile {
		return nil, errors.New("it is larger than 2 MiB, give a dotenv file")
	}
	return content, nil
}

// cause is what the system says, without the path that the user knows.
func cause(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return fmt.Errorf("%s, give a file that can be read", errno.Error())
	}
	return err
}

func parseEnvFile(content []byte, rows []bound) (envFile, error) {
	// A byte order mark would become part of the first name.
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	entries, err := godotenv.Parse(bytes.NewReader(content))
	if err != nil {
		return envFile{}, fmt.Errorf("%swant KEY=VALUE lines with balanced quotes", brokenLine(content))
	}
	file := envFile{settings: make(map[string]string)}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		value := entries[name]
		_, isSetting := rowOf(rows, name)
		switch {
		case name == "":
			return envFile{}, errors.New("it has a line without a name, want KEY=VALUE lines")
		case strings.ContainsAny(name, " \t\x00") || strings.Contains(value, "\x00"):
			return envFile{}, errors.New("it has a name with a space or a NUL byte in an entry, want KEY=VALUE lines")
		case name == envPrefix+"_ENV_FILE" || !isSetting && strings.HasPrefix(name, envPrefix+"_"):
			file.ignored = append(file.ignored, name)
		case isSetting:
			file.settings[name] = value
		case !isForUs(name):
			file.worker = append(file.worker, name+"="+value)
		}
	}
	return file, nil
}

// brokenLine says where the content stops being a dotenv file, as "line 3: ",
// or nothing for a long file. godotenv does not tell, and quotes what follows.
func brokenLine(content []byte) string {
	lines := bytes.SplitAfter(content, []byte("\n"))
	if len(lines) > 1000 {
		return ""
	}
	// A value in quotes may span lines, so that a cut within one fails too:
	// the last cut that succeeds is just before the broken line.
	for end := range slices.Backward(lines) {
		if _, err := godotenv.Parse(bytes.NewReader(bytes.Join(lines[:end], nil))); err == nil {
			return fmt.Sprintf("line %d: ", end+1)
		}
	}
	return ""
}

// apply gives the rows the file's settings. as names a variable as the user
// gave it.
func (f envFile) apply(rows []bound, as func(variable string) string) error {
	if len(f.settings) == 0 {
		return nil
	}
	for _, row := range rows {
		text, ok := f.settings[row.variable()]
		if !ok {
			continue
		}
		var bad *badValue
		if err := row.field.read(text, SourceFile); errors.As(err, &bad) {
			return row.refuse(as(row.variable()), bad)
		}
	}
	return nil
}

// below is real with those of others, KEY=VALUE, whose KEY real does not have.
func below(real, others []string) []string {
	has := make(map[string]bool, len(real))
	for _, entry := range real {
		name, _, _ := strings.Cut(entry, "=")
		has[name] = true
	}
	for _, entry := range others {
		if name, _, _ := strings.Cut(entry, "="); !has[name] {
			real = append(real, entry)
		}
	}
	return real
}
