package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxFile bounds a file with a secret.
const maxFile = 64 << 10

var (
	errEmpty    = errors.New("it is empty")
	errTooLarge = fmt.Errorf("it is larger than %d bytes", maxFile)
)

// ReadFile reads a secret from a file, without the end of line that editors add.
func ReadFile(path string) (Text, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	text := strings.TrimRight(string(data), "\r\n")
	switch {
	case err != nil:
	case text == "":
		err = errEmpty
	case len(data) > maxFile:
		err = errTooLarge
	}
	if err != nil {
		return "", fmt.Errorf("read a secret from %s: %w", path, err)
	}
	return Text(text), nil
}
