package version

import (
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinkerVersion(t *testing.T) {
	version = "v1.2.3"
	t.Cleanup(func() { version = "" })
	if got := Version(); got != "v1.2.3" {
		t.Errorf("version %q", got)
	}
	want := "webhook v1.2.3 " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	if diff := cmp.Diff(want, String("webhook")); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestBuildInfoVersion(t *testing.T) {
	if Version() == "" {
		t.Error("no version")
	}
}
