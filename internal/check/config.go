package check

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// maxConfigFile is the largest file that is read, in bytes: more than a ConfigMap holds.
const maxConfigFile = 4 << 20

// ConfigFile reads an InjectorConfig, "-" for the standard input, and writes to w that it
// is valid. The error says everything that is wrong with it, in a line each.
func ConfigFile(name string, in io.Reader, w io.Writer) error {
	file, err := open(name, in)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	if err != nil {
		return fmt.Errorf("could not read %s: %w", name, err)
	}
	if len(text) > maxConfigFile {
		return fmt.Errorf("%s is larger than %d bytes", name, maxConfigFile)
	}
	_, err = config.Parse(text, config.Environment{Prefix: annotations.DefaultPrefix})
	if invalid, ok := errors.AsType[*config.InvalidError](err); ok {
		problems := make([]error, 0, len(invalid.Problems))
		for _, problem := range invalid.Problems {
			problems = append(problems, errors.New(problem))
		}
		return errors.Join(problems...)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "ok: %s is a valid configuration\n", name)
	return nil
}

// open opens a file, or the standard input for "-".
func open(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}
