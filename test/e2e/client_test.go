package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
)

// TestOnlyAPIServerIsAnswered speaks to the webhook as others would. That the
// API server is answered is what all other tests show.
func TestOnlyAPIServerIsAnswered(t *testing.T) {
	ca, err := webhook.CA()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := kube.RESTConfig() // an admin, whose certificate is of the same CA as the API server's
	admin, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		t.Fatal(err)
	}
	for who, certificates := range map[string][]tls.Certificate{"nobody": nil, "an admin": {admin}} {
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates, MinVersion: tls.VersionTLS12},
		}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, webhook.URL(), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			t.Errorf("%s got an answer: %s", who, response.Status)
		} else if !strings.Contains(err.Error(), "remote error: tls:") {
			t.Errorf("%s got another error than a refusal: %v", who, err)
		}
	}
}
