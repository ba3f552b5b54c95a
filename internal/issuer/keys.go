package issuer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
)

// maxKeys is how many keys of a set are read. Clusters have one, and two while they change
// it; issuers that publish the keys of several clusters have more.
const maxKeys = 100

// minRSA is the least size of RSA keys, in bits (RFC 7518 section 3.3).
const minRSA = 2048

// Keys are the public keys of an issuer.
type Keys struct {
	keys []jose.JSONWebKey
	// Problems say which keys are not used, and why, and what is odd with others.
	Problems []string
}

var (
	errPrivateKey = errors.New("the key set holds a private key: whoever has it can make tokens, so replace that key pair")
	errNoKeySet   = errors.New("not a JWK set: a JSON object with a list keys is expected (RFC 7517 section 5)")
	errNoKeys     = errors.New("the key set holds no key that signs tokens")
)

// ParseKeys reads a JWK set (RFC 7517 section 5). Keys of an unknown kind, and those for
// another use than signatures, are left out, as the RFC says, with a problem each. A set
// without a usable key is an error, and so is one with a private key.
func ParseKeys(data []byte) (Keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		return Keys{}, errNoKeySet
	}
	if len(set.Keys) > maxKeys {
		return Keys{}, fmt.Errorf("the key set holds %d keys; at most %d are read", len(set.Keys), maxKeys)
	}
	k := keyReader{}
	for i, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err != nil {
			k.problem(i, &key, "it is not used: "+err.Error())
			continue
		}
		if !key.IsPublic() {
			return Keys{}, errPrivateKey
		}
		if key.Use != "" && key.Use != "sig" {
			k.problem(i, &key, fmt.Sprintf("it is not used: its use is %q", key.Use))
			continue
		}
		k.judge(i, &key)
		k.keys = append(k.keys, key)
	}
	if len(k.keys) == 0 {
		return Keys(k), errNoKeys
	}
	return Keys(k), nil
}

// keyReader is the set while it is read.
type keyReader Keys

func (k *keyReader) problem(i int, key *jose.JSONWebKey, what string) {
	name := fmt.Sprintf("key %d", i+1)
	if key.KeyID != "" {
		name = fmt.Sprintf("key %q", key.KeyID)
	}
	k.Problems = append(k.Problems, name+": "+what)
}

// judge notes what is odd with a key that is used.
func (k *keyReader) judge(i int, key *jose.JSONWebKey) {
	if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() < minRSA {
		k.problem(i, key, fmt.Sprintf("an RSA key of %d bits; relying parties refuse less than %d", public.N.BitLen(), minRSA))
	}
	if key.KeyID == "" {
		k.problem(i, key, "it has no kid: many relying parties cannot find it")
	}
	if key.KeyID != "" && slices.ContainsFunc(k.keys, func(other jose.JSONWebKey) bool { return other.KeyID == key.KeyID }) {
		k.problem(i, key, "another key has the same kid")
	}
}

// IDs are the kids of the keys, in their order.
func (k Keys) IDs() []string {
	ids := make([]string, 0, len(k.keys))
	for i := range k.keys {
		ids = append(ids, k.keys[i].KeyID)
	}
	return ids
}

// Algorithms are those that the keys are for, each once, where they say.
func (k Keys) Algorithms() []string {
	var all []string
	for i := range k.keys {
		if a := k.keys[i].Algorithm; a != "" && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// Describe says of each key what it is, such as `"abc": RSA 2048, RS256`.
func (k Keys) Describe() []string {
	all := make([]string, 0, len(k.keys))
	for i := range k.keys {
		all = append(all, describe(&k.keys[i]))
	}
	return all
}

func describe(key *jose.JSONWebKey) string {
	kind := fmt.Sprintf("%T", key.Key)
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		kind = fmt.Sprintf("RSA %d", public.N.BitLen())
	case *ecdsa.PublicKey:
		kind = "ECDSA " + public.Curve.Params().Name
	case ed25519.PublicKey:
		kind = "Ed25519"
	}
	return strings.TrimSuffix(fmt.Sprintf("%q: %s, %s", key.KeyID, kind, key.Algorithm), ", ")
}

// candidates are the keys that can have signed a token: those with its kid, or all where
// it has none (RFC 7515 section 4.1.4).
func (k Keys) candidates(kid string) []jose.JSONWebKey {
	if kid == "" {
		return k.keys
	}
	var all []jose.JSONWebKey
	for i := range k.keys {
		if k.keys[i].KeyID == kid {
			all = append(all, k.keys[i])
		}
	}
	return all
}
