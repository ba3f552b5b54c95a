package memlimit

import (
	"runtime/debug"
	"testing"
	"testing/fstest"
)

const mib = 1 << 20

func files(content map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range content {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

var limited = files(map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"})

func TestOfControlGroup(t *testing.T) {
	t.Parallel()
	const version1 = "9:name=systemd:/\n4:memory:/kubepods/pod1/c1\n2:cpu,cpuacct:/\n0::/\n"
	for _, tt := range []struct {
		name string
		root fstest.MapFS
		want int64
	}{
		{"version 2, in a container", limited, 128 * mib},
		{
			"version 2, in a group", files(map[string]string{
				"proc/self/cgroup":             "0::/a/b\n",
				"sys/fs/cgroup/a/b/memory.max": "134217728\n",
			}),
			128 * mib,
		},
		{"version 2, no limit", files(map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}), 0},
		{"version 1, in a container", files(map[string]string{
			"proc/self/cgroup": version1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "134217728\n",
		}), 128 * mib},
		{"version 1, in a group", files(map[string]string{
			"proc/self/cgroup": version1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/kubepods/pod1/c1/memory.limit_in_bytes": "134217728\n",
		}), 128 * mib},
		{"version 1, no limit", files(map[string]string{
			"proc/self/cgroup": version1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}), 0},
		{"nothing to read", fstest.MapFS{}, 0},
		{"what nobody understands", files(map[string]string{"proc/self/cgroup": "?\n\n0::/\n", "sys/fs/cgroup/memory.max": "lots\n"}), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := ofControlGroup(tt.root); ok != (tt.want > 0) || ok && got != tt.want {
				t.Errorf("%d, %t", got, ok)
			}
		})
	}
}

func TestSet(t *testing.T) { //nolint:paralleltest // the limit is that of the process
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	Set(limited, "1GiB") // which the runtime has read at the start
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("with GOMEMLIMIT: %d", got)
	}
	Set(fstest.MapFS{}, "")
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("without a limit: %d", got)
	}
	Set(limited, "")
	if got, want := debug.SetMemoryLimit(-1), int64(107374182); got != want {
		t.Errorf("limit %d, want %d", got, want)
	}
}
