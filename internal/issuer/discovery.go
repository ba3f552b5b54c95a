package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Document is the part of a discovery document that relying parties read (OpenID Connect
// Discovery 1.0 section 3).
type Document struct {
	Issuer                 string   `json:"issuer"`
	JWKSURI                string   `json:"jwks_uri"`
	ResponseTypesSupported []string `json:"response_types_supported,omitempty"`
	SubjectTypesSupported  []string `json:"subject_types_supported,omitempty"`
	SigningAlgorithms      []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

// wellKnown is where the document is, below the issuer (section 4).
const wellKnown = "/.well-known/openid-configuration"

// DiscoveryURL is where the document of an issuer is.
func DiscoveryURL(issuer string) string { return strings.TrimSuffix(issuer, "/") + wellKnown }

var errNoDocument = errors.New("not a discovery document: a JSON object with the texts issuer and jwks_uri is expected")

// ParseDocument reads a discovery document.
func ParseDocument(data []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(data, &d); err != nil || d.Issuer == "" || d.JWKSURI == "" {
		return Document{}, errNoDocument
	}
	return d, nil
}

// OtherIssuerError says that a document is that of another issuer than the one whose URL
// it was fetched from, which relying parties refuse (section 4.3).
type OtherIssuerError struct{ Want, Got string }

func (e *OtherIssuerError) Error() string {
	return fmt.Sprintf("the discovery document of %s says that its issuer is %s: the two must be the same, to the last slash",
		e.Want, e.Got)
}

// Check reports whether the document is that of an issuer, and its keys can be fetched
// safely: by https, or by http where that is allowed.
func (d Document) Check(issuer string, allowHTTP bool) error {
	if d.Issuer != issuer {
		return &OtherIssuerError{Want: issuer, Got: d.Issuer}
	}
	return CheckURL(d.JWKSURI, allowHTTP)
}

// CheckURL reports whether something can be fetched from a URL.
func CheckURL(raw string, allowHTTP bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%q is not a URL", raw)
	case u.User != nil:
		return errors.New("a URL with a user name or a password is not fetched")
	case u.Scheme == "https" || u.Scheme == "http" && allowHTTP:
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("%s: https is needed, for whoever can change what is fetched can make tokens; --allow-http for a test", raw)
	default:
		return fmt.Errorf("%s: the scheme must be https", raw)
	}
}
