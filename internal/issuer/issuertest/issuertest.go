// Package issuertest signs tokens for tests.
package issuertest

import "github.com/go-jose/go-jose/v4"

// Sign makes a JWT of its claims, which are JSON already (RFC 7519).
func Sign(key jose.SigningKey, claims []byte) (string, error) {
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
