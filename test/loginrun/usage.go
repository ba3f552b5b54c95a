package loginrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/internal/metrics"
)

// Usage is what the running program takes, as Linux tells it.
type Usage struct {
	// Resident is its memory, in bytes, of which Anonymous is its own: the rest
	// are pages of the program's file, which all its processes share.
	Resident, Anonymous int
	// Threads and Descriptors are their numbers.
	Threads, Descriptors int
}

// Usage looks at the running program.
func (l *Login) Usage() (Usage, error) {
	var u Usage
	dir := filepath.Join("/proc", strconv.Itoa(l.running().PID))
	data, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return u, fmt.Errorf("could not look at the login: %w", err)
	}
	kilobytes := func(field string) int { return 1024 * statusField(data, field) }
	u.Resident, u.Anonymous, u.Threads = kilobytes("VmRSS"), kilobytes("RssAnon"), statusField(data, "Threads")
	entries, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return u, fmt.Errorf("could not look at the login: %w", err)
	}
	u.Descriptors = len(entries)
	return u, nil
}

// statusField reads a number of /proc/PID/status; 0 where there is none.
func statusField(status []byte, name string) int {
	for line := range bytes.Lines(status) {
		if fields := strings.Fields(string(line)); len(fields) > 1 && fields[0] == name+":" {
			number, _ := strconv.Atoi(fields[1])
			return number
		}
	}
	return 0
}

// Listen is an argument that makes the program listen, at a free port.
const Listen = "--" + string(loginspec.ListenAddress) + "=127.0.0.1:0"

// Get requests a path of the program's listener, which needs the argument Listen
// and a log in JSON.
func (l *Login) Get(ctx context.Context, path string) (status int, body string, err error) {
	address := ""
	for _, e := range l.Events() {
		if e.Message == "serving probes and metrics" {
			address = e.Address
		}
	}
	if address == "" {
		return 0, "", errors.New("could not find the login's listener: it does not listen, or not yet")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

// Metric reads a metric, which is added up over all its labels but the given
// ones, such as "class", "sealed".
func (l *Login) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	_, body, err := l.Get(ctx, "/metrics")
	if err != nil {
		return 0, fmt.Errorf("could not read the login's metrics: %w", err)
	}
	value, err := metrics.Value([]byte(body), name, labels...)
	if err != nil {
		return 0, fmt.Errorf("could not read the login's metrics: %w", err)
	}
	return value, nil
}
