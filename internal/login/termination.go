package login

import (
	"os"

	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// maxTermination is what Kubernetes shows of a termination message, in bytes.
const maxTermination = 4096

// Terminate writes the reason of the end to where Kubernetes takes it from and
// shows it in the pod's status. A file that is not there is not made: this is
// no container then.
func Terminate(path, reason string) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer f.Close()
	// Who could not write it down here says it in the log.
	_, _ = f.WriteString(truncate.Prefix(reason, maxTermination))
}
