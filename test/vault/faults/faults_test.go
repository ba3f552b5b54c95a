package faults_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/vault/faults"
)

const answer = `{"data":"from the server"}`

// start starts a proxy in front of a server that echoes, and a client of it.
func start(t *testing.T) (*faults.Proxy, *http.Client) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Got", r.Method+" "+string(body))
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	ca := pki.EncodePEM("CERTIFICATE", server.Certificate().Raw)
	proxy, err := faults.Start(faults.Upstream{URL: server.URL, CA: ca, Certificate: server.TLS.Certificates[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return proxy, &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// result is an answer, or as much of it as came.
type result struct {
	status int
	header http.Header
	body   string
}

func post(client *http.Client, url string) (result, error) {
	response, err := client.Post(url, "application/json", strings.NewReader(`{"jwt":"x"}`))
	if err != nil {
		return result{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return result{status: response.StatusCode, header: response.Header, body: string(body)}, err
}

func TestPass(t *testing.T) {
	proxy, client := start(t)
	response, err := post(client, proxy.Address()+"/v1/a")
	if err != nil {
		t.Fatal(err)
	}
	if got := response.header.Get("X-Got"); got != `POST {"jwt":"x"}` || response.body != answer {
		t.Errorf("the server got %q and the client %q", got, response.body)
	}
}

func TestAnswers(t *testing.T) {
	proxy, client := start(t)
	for name, test := range map[string]struct {
		fault   faults.Fault
		status  int
		headers map[string]string
		body    string
	}{
		"unavailable": {
			fault: faults.Unavailable(), status: 503,
			headers: map[string]string{"Content-Type": "application/json"}, body: `{"errors":["Vault is sealed"]}`,
		},
		"too many requests": {
			fault: faults.TooManyRequests(3 * time.Second), status: 429,
			headers: map[string]string{"Retry-After": "3"}, body: `rate limit quota exceeded`,
		},
		"internal error": {fault: faults.InternalError(), status: 500, body: `{"errors":["internal error"]}`},
		"bad gateway": {
			fault: faults.BadGateway(), status: 502,
			headers: map[string]string{"Content-Type": "text/html"}, body: "<h1>502 Bad Gateway</h1>",
		},
		"any error":  {fault: faults.Error(400, `role "a" not found`), status: 400, body: `{"errors":["role \"a\" not found"]}`},
		"any answer": {fault: faults.Answer(204, nil, ""), status: 204},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Set(test.fault)
			response, err := post(client, proxy.Address())
			if err != nil {
				t.Fatal(err)
			}
			if response.status != test.status || !strings.Contains(response.body, test.body) || response.header.Get("X-Got") != "" {
				t.Errorf("got %+v, want %d %q", response, test.status, test.body)
			}
			for header, want := range test.headers {
				if got := response.header.Get(header); got != want {
					t.Errorf("header %s is %q, want %q", header, got, want)
				}
			}
		})
	}
}

func TestDelay(t *testing.T) {
	proxy, client := start(t)
	proxy.Set(faults.Delay(200 * time.Millisecond))
	started := time.Now()
	if response, err := post(client, proxy.Address()); err != nil || response.body != answer {
		t.Errorf("got %+v, %v", response, err)
	}
	if elapsed := time.Since(started); elapsed < 200*time.Millisecond {
		t.Errorf("it took %s", elapsed)
	}
}

func TestHangUntilClientLeaves(t *testing.T) {
	proxy, client := start(t)
	proxy.Set(faults.Hang())
	client.Timeout = 200 * time.Millisecond
	if _, err := post(client, proxy.Address()); !errors.Is(err, context.DeadlineExceeded) && !os.IsTimeout(err) {
		t.Errorf("got error %v, want a timeout", err)
	}
	proxy.Set(faults.Pass())
	client.Timeout = 10 * time.Second
	if response, err := post(client, proxy.Address()); err != nil || response.body != answer {
		t.Errorf("got %+v, %v", response, err)
	}
}

func TestStopEndsWhatHangs(t *testing.T) {
	proxy, client := start(t)
	proxy.Set(faults.Hang())
	done := make(chan error, 1)
	go func() {
		_, err := post(client, proxy.Address()+"/v1/a")
		done <- err
	}()
	for proxy.Requests("/v1/a") == 0 {
		time.Sleep(time.Millisecond)
	}
	proxy.Stop()
	if err := <-done; err == nil || os.IsTimeout(err) {
		t.Errorf("got error %v, want one of the connection", err)
	}
}

func TestDropAndCut(t *testing.T) {
	proxy, client := start(t)
	proxy.Set(faults.Drop())
	if _, err := post(client, proxy.Address()); !errors.Is(err, io.EOF) {
		t.Errorf("got error %v, want the end of the connection", err)
	}
	proxy.Set(faults.Cut())
	response, err := post(client, proxy.Address())
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v, want the end in the middle of the body", err)
	}
	if response.status != http.StatusOK || response.body != answer[:len(answer)/2] {
		t.Errorf("got %+v", response)
	}
}

func TestSetPathFirstAndRequests(t *testing.T) {
	proxy, client := start(t)
	proxy.Set(faults.First(1, faults.Unavailable()))
	proxy.SetPath("/v1/b", faults.InternalError())
	var got []int
	for _, path := range []string{"/v1/b", "/v1/a", "/v1/a", "/v1/b"} {
		response, err := post(client, proxy.Address()+path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, response.status)
	}
	if diff := cmp.Diff([]int{500, 503, 200, 500}, got); diff != "" {
		t.Errorf("statuses differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"/v1/a": 2, "/v1/b": 2}, proxy.AllRequests()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	proxy.Set(faults.Pass())
	if response, err := post(client, proxy.Address()+"/v1/b"); err != nil || response.status != http.StatusOK {
		t.Errorf("got %+v, %v after all faults were forgotten", response, err)
	}
}
