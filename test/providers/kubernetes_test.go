package providers

import (
	"encoding/base64"
	"io"
	"net/http"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func testKubernetes(t *testing.T) {
	for _, test := range []struct {
		name, host, namespace string
		asked                 map[string]string
	}{
		{"usual", "other-cluster.example", "default", nil},
		{"by another name", "balancer.example", "jobs", map[string]string{
			"kubernetes-namespace": "jobs", "kubernetes-tls-server-name": "other-cluster.example",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := inject(t, "https://other-cluster.example", test.asked, map[string]string{
				"kubernetes-server": "https://" + test.host + ":6443", "kubernetes-audience": "https://other-cluster.example",
				"kubernetes-certificate-authority-data": base64.StdEncoding.EncodeToString(internet.private.pem()),
			})
			internet.servePrivately(t, "other-cluster.example", nil) // for the certificate of that name
			internet.servePrivately(t, test.host+":6443", func(w http.ResponseWriter, r *http.Request) {
				if r.TLS.ServerName != "other-cluster.example" {
					t.Errorf("a certificate of %s is asked for", r.TLS.ServerName)
				}
				// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#putting-a-bearer-token-in-a-request
				(&request{
					method: http.MethodGet, path: "/api/v1/namespaces/" + test.namespace + "/pods",
					header: map[string]string{"Authorization": "Bearer " + c.token},
				}).check(t, r)
				reply(w, "application/json", `{}`)
			})
			for range 2 {
				client, address := clusterClient(t)
				if status := get(t, client, address+"/pods"); status != http.StatusOK {
					t.Errorf("status %d", status)
				}
				// client-go keeps what it read for a minute, whatever the answer is: another client reads anew.
				c.rotate(t)
			}
		})
	}
}

// clusterClient is a client by the rules of kubectl, and the URL of its namespace.
func clusterClient(t *testing.T) (client *http.Client, address string) {
	t.Helper()
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	cfg, err := loaded.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	namespace, _, err := loaded.Namespace()
	if err != nil {
		t.Fatal(err)
	}
	if client, err = rest.HTTPClientFor(cfg); err != nil {
		t.Fatal(err)
	}
	return client, cfg.Host + "/api/v1/namespaces/" + namespace
}

// get asks for something, and says with which status that is answered.
func get(t *testing.T, client *http.Client, address string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}
