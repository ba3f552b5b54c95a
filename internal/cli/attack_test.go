package cli

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
)

const attackPod = `apiVersion: v1
kind: Pod
metadata:
  name: app
  annotations: {oidc-injector.io/audience: vault}
spec:
  containers: [{name: app, image: app}]
`

// TestBombs has documents that are small and become large or deep: the answer is one line.
func TestBombs(t *testing.T) {
	t.Parallel()
	laughs, merges := "x:\n  a0: &a0 [a,a,a,a,a,a,a,a,a,a]\n", "x:\n  a0: &a0 {k0: 1}\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("  a%d: &a%[1]d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	for i := 1; i < 30; i++ {
		merges += fmt.Sprintf("  a%d: &a%[1]d {<<: [*a%d, *a%[2]d], k%[1]d: 1}\n", i, i-1)
	}
	deep := strings.Repeat("[", 1_000_000)
	for name, test := range map[string]struct{ text, want string }{
		"billion laughs": {attackPod + laughs, "document contains excessive aliasing"},
		"merges":         {attackPod + merges, "document contains excessive aliasing"},
		"deep":           {attackPod + "x: " + deep, "exceeded max depth"},
		"deep JSON":      {`{"apiVersion":"v1","kind":"Pod","x":` + deep, "exceeded max depth"},
		"itself":         {attackPod + "x: &x [*x]\n", "contains itself"},
		"objects":        {"apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat(item, maxInjected+1), "split the list"},
	} {
		code, out, errOut := call(t, test.text, "render")
		if code != ExitError || out != "" || strings.Count(errOut, "\n") != 1 || len(errOut) > 200 || !strings.Contains(errOut, test.want) {
			t.Errorf("%s: exit code %d, %d bytes: %.300s", name, code, len(out), errOut)
		}
	}
}

// item is attackPod in a list.
var item = "- " + strings.ReplaceAll(strings.TrimSpace(attackPod), "\n", "\n  ") + "\n"

// endless is a stream of one text again and again, and knows how much of it was read.
type endless struct {
	text       string
	left, read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && e.left > 0 {
		at := e.read % len(e.text)
		m := min(copy(p[n:], e.text[at:]), e.left)
		n, e.read, e.left = n+m, e.read+m, e.left-m
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// watcher discards what is written, and remembers the most memory that was in use.
type watcher struct{ writes, peak uint64 }

func (w *watcher) Write(p []byte) (int, error) {
	w.writes++
	if w.writes%256 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak = max(w.peak, m.HeapAlloc)
	}
	return len(p), nil
}

func renderStream(t *testing.T, in io.Reader) (code int, errOut string, peak uint64) {
	t.Helper()
	var stderr bytes.Buffer
	out := &watcher{}
	code = Run(t.Context(), []string{"render", "--namespace=default"},
		Environment{IOStreams: genericiooptions.IOStreams{In: in, Out: out, ErrOut: &stderr}})
	return code, stderr.String(), out.peak
}

// TestDocumentWithoutEnd reads no more than a document may have.
func TestDocumentWithoutEnd(t *testing.T) {
	long(t)
	for _, text := range []string{"x", "\n", "[", "- a\n"} {
		in := &endless{text: text, left: 100 << 20}
		code, errOut, _ := renderStream(t, in)
		const want = "error: could not read the standard input: line 1: the document is larger than 16 MiB\n"
		if code != ExitError || errOut != want || in.read > manifest.MaxDocument+(1<<20) {
			t.Errorf("%q: exit code %d after %d bytes: %s", text, code, in.read, errOut)
		}
	}
}

// TestStreamOfAnyLength takes no more memory for several times as many documents, of which all
// are far more than one may have.
func TestStreamOfAnyLength(t *testing.T) {
	long(t)
	document := "---\n" + attackPod + strings.Repeat("# a comment that is kept\n", 1000)
	in := &endless{text: document, left: 1400 * len(document)}
	code, errOut, peak := renderStream(t, in)
	if code != ExitOK || errOut != "" || in.left > 0 {
		t.Fatalf("exit code %d with %d bytes left: %s", code, in.left, errOut)
	}
	if in.read < 2*manifest.MaxDocument || peak > 64<<20 {
		t.Errorf("%d MiB in use for a stream of %d MiB", peak>>20, in.read>>20)
	}
}

// TestWorkGrowsWithTheInput compares what is allocated for a number and for twice as many:
// what is quadratic would need four times as much.
func TestWorkGrowsWithTheInput(t *testing.T) {
	long(t)
	for name, text := range map[string]func(n int) string{
		"ResourceList": func(n int) string {
			return "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n" + strings.Repeat(item, n/10)
		},
		"objects side by side": func(n int) string { return strings.Repeat("{}", n) },
		"objects and a tail":   func(n int) string { return strings.Repeat("{}", n) + strings.Repeat(" ", 10*n) },
		"empty documents":      func(n int) string { return strings.Repeat("---\n", n) },
		"containers": func(n int) string {
			const container = "{name: app, image: app}"
			return strings.ReplaceAll(attackPod, container, strings.TrimSuffix(strings.Repeat(container+",", n/50), ","))
		},
	} {
		allocated := func(n int) uint64 {
			var before, after runtime.MemStats
			input := strings.NewReader(text(n))
			runtime.ReadMemStats(&before)
			if code, errOut, _ := renderStream(t, input); code != ExitOK {
				t.Fatalf("%s: exit code %d: %s", name, code, errOut)
			}
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		allocated(1000) // what is made once
		if one, two := allocated(5000), allocated(10_000); two > one*3 {
			t.Errorf("%s: %d KiB are allocated, and %d for twice as many", name, one>>10, two>>10)
		}
	}
}

// long skips what has one goroutine and takes the race detector minutes.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long, and is run without -short")
	}
}
