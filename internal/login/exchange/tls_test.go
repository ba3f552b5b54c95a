package exchange

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// Certificates are what is copied for the workload, where everybody may read it.
func TestParseCertificates(t *testing.T) {
	t.Parallel()
	issue := func() (cert, key string) {
		c, k := testutil.IssueCertificate(t, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}, nil, nil)
		return string(c), string(k)
	}
	a, key := issue()
	b, _ := issue()
	block := func(kind, content string, headers map[string]string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content), Headers: headers}))
	}
	der, _ := pem.Decode([]byte(a))
	keyDER, _ := pem.Decode([]byte(key))
	renamed := func(kind string) string { return strings.ReplaceAll(a, "CERTIFICATE", kind) }
	for _, tt := range []struct{ name, from, want string }{
		{"one", a, a},
		{"two", a + b, a + b},
		{"one twice", a + b + a, a + b},
		{"a key behind", a + key, a},
		{"a key in front", key + a, a},
		{"a key between", a + key + b, a + b},
		{"an encrypted key", block("RSA PRIVATE KEY", "hidden",
			map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}) + a, a},
		{"keys by other names", block("EC PRIVATE KEY", "hidden", nil) + block("ENCRYPTED PRIVATE KEY", "hidden", nil) +
			block("EC PARAMETERS", "x", nil) + a, a},
		{"a key that calls itself a certificate", block("CERTIFICATE", string(keyDER.Bytes), nil) + a, a},
		{"a certificate with more in it", block("CERTIFICATE", string(der.Bytes)+string(keyDER.Bytes), nil) + b, b},
		{"text of openssl", "Certificate:\n    Data: hidden\n" + a + "hidden\n" + b + "hidden", a + b},
		{"bag attributes", "Bag Attributes\n    friendlyName: hidden\nKey Attributes: <No Attributes>\n" + key + a, a},
		{"headers", block("CERTIFICATE", string(der.Bytes), map[string]string{"Secret": "hidden"}), a},
		{"a list of revoked ones", block("X509 CRL", "x", nil) + a, a},
		{"a trusted one", renamed("TRUSTED CERTIFICATE") + b, b},
		{"a request", renamed("CERTIFICATE REQUEST") + b, b},
		{"lines of Windows", strings.ReplaceAll(a+key+b, "\n", "\r\n"), a + b},
		{"a byte order mark", byteOrderMark + a, a},
		{"no line break at the end", strings.TrimSpace(a), a},
		{"half of another", b[:len(b)/2] + "\n" + a, a},
		{"a broken one", block("CERTIFICATE", "x", nil) + a, a},
		{"a key alone", key, ""},
		{"a trusted one alone", renamed("TRUSTED CERTIFICATE"), ""},
		{"rubbish", "rubbish", ""},
		{"nothing", "", ""},
	} {
		file := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(file, []byte(tt.from), 0o600); err != nil {
			t.Fatal(err)
		}
		inline, err := NewCA("", tt.from).PEM()
		if diff := cmp.Diff(tt.want, string(inline)); diff != "" || (err == nil) != (tt.want != "") {
			t.Errorf("%s, inline: %v (-want +got):\n%s", tt.name, err, diff)
		}
		ca := NewCA(file, "")
		for range 2 { // the second time it is known
			got, err := ca.PEM()
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || (err == nil) != (tt.want != "") {
				t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
			}
		}
	}
}

// Whatever a CA is made of, it is certificates that can be used.
func FuzzCertificates(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	f.Add("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := certificates([]byte(text))
		if again := certificates(got); !bytes.Equal(again, got) {
			t.Errorf("%q becomes %q", got, again)
		}
		if len(got) > 0 && !x509.NewCertPool().AppendCertsFromPEM(got) || strings.Contains(string(got), "PRIVATE") {
			t.Errorf("%q", got)
		}
	})
}
