package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestAudit reads in the API server's audit log what was injected, also where
// our webhook was called twice for one pod.
func TestAudit(t *testing.T) {
	ns := namespace(t, "audit")
	podtest.RegisterContainerAdder(t, kube, ns)
	create(t, ns, newPod("app", "audience=vault", "audience.aws=sts.amazonaws.com", "expiration.aws=2h"))
	want := map[string]string{
		"pods.oidc-injector.io/token.default": "audience=vault expirationSeconds=3600",
		"pods.oidc-injector.io/token.aws":     "audience=sts.amazonaws.com expirationSeconds=7200",
	}
	eventually(t, "the audit annotations", func(context.Context) error {
		got := auditAnnotations(t, ns)
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
	apiServerLog, err := os.ReadFile(filepath.Join(kube.LogDir(), "kube-apiserver.log"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(apiServerLog, []byte("Failed to set admission audit annotation pods.oidc-injector.io")) {
		t.Error("the API server did not take an audit annotation")
	}
}

// auditAnnotations are ours of a namespace's pod that was created for real.
func auditAnnotations(t *testing.T, ns string) map[string]string {
	t.Helper()
	log, err := os.ReadFile(auditLog)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]string{}
	for line := range bytes.Lines(log) {
		var event struct {
			RequestURI  string `json:"requestURI"`
			ObjectRef   struct{ Namespace string }
			Annotations map[string]string `json:"annotations"`
		}
		if json.Unmarshal(line, &event) != nil || event.ObjectRef.Namespace != ns || strings.Contains(event.RequestURI, "dryRun") {
			continue // the last line may be half written
		}
		for key, value := range event.Annotations {
			if strings.HasPrefix(key, "pods.oidc-injector.io/") {
				ours[key] = value
			}
		}
	}
	return ours
}
