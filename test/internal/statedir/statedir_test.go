package statedir

import (
	"errors"
	"os"
	"testing"
)

func TestAbandonedDirIsRemoved(t *testing.T) {
	parent := t.TempDir()
	var removed []string
	kind := Kind{Name: "test", Remove: func(name string) error {
		removed = append(removed, name)
		return nil
	}}
	dirs := make([]*Dir, 3)
	for i := range dirs {
		var err error
		if dirs[i], err = New(parent, kind); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			dirs[i].lock.Close() // as the kernel does when a process is killed
		}
	}
	used, abandoned, third := dirs[0], dirs[1], dirs[2]
	if _, err := os.Stat(used.Root); err != nil {
		t.Errorf("the folder in use is gone: %v", err)
	}
	if _, err := os.Stat(abandoned.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the abandoned folder is still there: %v", err)
	}
	if len(removed) != 1 || removed[0] != abandoned.Name() {
		t.Errorf("%q was removed along, want %q", removed, abandoned.Name())
	}
	for _, d := range []*Dir{used, third} {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	}
}

func TestOtherKindsAreNotRemoved(t *testing.T) {
	parent := t.TempDir()
	other, err := New(parent, Kind{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	other.lock.Close()
	if _, err := New(parent, Kind{Name: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(other.Root); err != nil {
		t.Errorf("the folder of another kind is gone: %v", err)
	}
}

func TestKeptLogsOutliveTheDir(t *testing.T) {
	elsewhere := t.TempDir()
	for name, chosen := range map[string]string{"in the folder": "", "elsewhere": elsewhere} {
		t.Run(name, func(t *testing.T) {
			d, err := New(t.TempDir(), Kind{Name: "test"})
			if err != nil {
				t.Fatal(err)
			}
			logs, err := d.MakeLogs(chosen)
			if err != nil {
				t.Fatal(err)
			}
			kept, err := d.KeepLogs(logs)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Remove(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(kept); err != nil {
				t.Errorf("the logs are gone: %v", err)
			}
			if chosen != "" && kept != chosen {
				t.Errorf("the logs are in %s, want %s", kept, chosen)
			}
		})
	}
}
