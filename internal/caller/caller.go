// Package caller has whoever calls the webhook prove to be an API server of this
// cluster, by a token that is bound to the webhook's registration (KEP-6060, alpha in
// Kubernetes 1.37). Tokens are verified here, by the keys that the cluster publishes;
// no request to the API server comes between a call and its answer.
package caller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// Options are those of a [Verifier].
type Options struct {
	// Keys reads the issuer of tokens and its keys.
	Keys func(context.Context) (Keys, error)
	// Audiences are those of tokens: the URLs by which the API server knows the webhook,
	// such as https://NAME.NAMESPACE.svc:443/mutate. A token for one is good for all.
	Audiences []string
	// ConfigurationName is the MutatingWebhookConfiguration that tokens are bound to.
	ConfigurationName string
	Log               *slog.Logger
	Metrics           prometheus.Registerer
}

// Keys are those of the cluster's tokens.
type Keys struct {
	Issuer string
	Set    jose.JSONWebKeySet
}

// reason is why a caller is refused.
type reason string

const (
	missing       reason = "missing"
	malformed     reason = "malformed"
	noKeys        reason = "no_keys"
	unknownKey    reason = "unknown_key"
	badSignature  reason = "signature"
	issuer        reason = "issuer"
	audience      reason = "audience"
	expired       reason = "expired"
	configuration reason = "configuration"
	attestation   reason = "attestation"
)

// reasons are all of them, with what the answer says.
var reasons = map[reason]string{
	missing:       "no bearer token",
	malformed:     "the bearer token is no JWT of an API server",
	noKeys:        "the keys of the cluster are not known yet",
	unknownKey:    "the token is signed by a key that is none of the cluster's",
	badSignature:  "the signature of the token is wrong",
	issuer:        "the token is of another issuer than the cluster's",
	audience:      "the token is for another audience than this webhook",
	expired:       "the token is not valid at this time",
	configuration: "the token is not bound to this webhook's MutatingWebhookConfiguration",
	attestation:   `the token does not attest that its bearer may send reviews of all API groups ("*")`,
}

const (
	// maxToken is the longest token that is looked at, in bytes. Those of API servers
	// have about one thousand.
	maxToken = 16 << 10
	// leeway is for clocks that differ.
	leeway = 10 * time.Second
	// maxVerified is how many tokens are remembered: each API server has one.
	maxVerified = 64
	// refreshInterval is how often keys are read, should one have been withdrawn.
	refreshInterval = 10 * time.Minute
	// retryInterval is how often keys are read at most, for keys that are not known.
	retryInterval = 5 * time.Second
	readTimeout   = 3 * time.Second
)

// algorithms are those of tokens of Kubernetes (--service-account-signing-key-file) and
// of its external signers (KEP-740).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// Verifier verifies callers.
type Verifier struct {
	options Options
	now     func() time.Time
	refused *prometheus.CounterVec
	told    rate.Sometimes
	reading *rate.Limiter

	// asking is held by who reads keys, so that others wait for the answer.
	asking sync.Mutex

	mu   sync.Mutex
	keys *Keys
	// verified are the ends of tokens that were verified, by their hashes.
	verified map[[sha256.Size]byte]time.Time
}

// New returns a Verifier, which knows no keys until it runs.
func New(o Options) *Verifier {
	v := &Verifier{
		options: o, now: time.Now, told: rate.Sometimes{First: 3, Interval: time.Minute},
		reading: rate.NewLimiter(rate.Every(retryInterval), 1), verified: map[[sha256.Size]byte]time.Time{},
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_refused_callers_total",
			Help: "Calls that were refused for want of a token of the API server, by reason.",
		}, []string{"reason"}),
	}
	for r := range reasons {
		v.refused.WithLabelValues(string(r))
	}
	o.Metrics.MustRegister(v.refused)
	return v
}

// Run reads the keys, again and again, until the context ends.
func (v *Verifier) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := refreshInterval
		if err := v.read(ctx); err != nil && ctx.Err() == nil {
			v.options.Log.Error("keys of the cluster's tokens not read, retrying", "error", err)
			wait = retryInterval
		}
		repeat.Sleep(ctx, wait)
	}
	return nil
}

func (v *Verifier) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	keys, err := v.options.Keys(ctx)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = &keys
	clear(v.verified) // their keys may be withdrawn
	return nil
}

var errNoKeys = errors.New(reasons[noKeys])

// Ready reports whether callers can be verified.
func (v *Verifier) Ready() error {
	if v.current() == nil {
		return errNoKeys
	}
	return nil
}

func (v *Verifier) current() *Keys {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keys
}

// Wrap lets through who has proved to be an API server. Others are told why not, before
// anything of their request is read. The code is 403 also where there is no token: of a
// 401 API servers repeat no text.
func (v *Verifier) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		why := v.verify(r.Context(), r)
		if why == "" {
			next.ServeHTTP(w, r)
			return
		}
		v.refused.WithLabelValues(string(why)).Inc()
		v.told.Do(func() {
			v.options.Log.Warn("caller refused", "reason", string(why), "because", reasons[why], "client", r.RemoteAddr)
		})
		w.Header().Set("Connection", "close")
		http.Error(w, "this webhook answers API servers of its cluster alone: "+reasons[why], http.StatusForbidden)
	})
}

// verify is why a request is refused, or empty.
func (v *Verifier) verify(ctx context.Context, r *http.Request) reason {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return missing
	}
	if len(token) > maxToken {
		return malformed
	}
	hash := sha256.Sum256([]byte(token))
	if v.known(hash) {
		return ""
	}
	signed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(signed.Headers) != 1 {
		return malformed
	}
	keys := v.current()
	end, why := v.verifySigned(signed, keys)
	if why == noKeys || why == unknownKey || why == issuer { // perhaps a new key, or a new issuer
		v.refresh(ctx, keys)
		keys = v.current()
		end, why = v.verifySigned(signed, keys)
	}
	if why == "" {
		v.remember(hash, end, keys)
	}
	return why
}

// refresh reads the keys, unless they are others by now than were known to the caller, or
// were asked for a moment ago. Who comes meanwhile waits: after a rotation all API servers
// come with a new key at once. It does not end with a request, or who sends one in vain
// could keep others from being verified.
func (v *Verifier) refresh(ctx context.Context, known *Keys) {
	v.asking.Lock()
	defer v.asking.Unlock()
	if v.current() == known && v.reading.Allow() {
		_ = v.read(context.WithoutCancel(ctx)) // which the next turn of Run logs, if it lasts
	}
}

func (v *Verifier) known(hash [sha256.Size]byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	end, found := v.verified[hash]
	return found && v.now().Before(end)
}

// remember keeps a token that was verified by keys that still hold.
func (v *Verifier) remember(hash [sha256.Size]byte, end time.Time, by *Keys) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys != by {
		return
	}
	if len(v.verified) >= maxVerified {
		clear(v.verified)
	}
	v.verified[hash] = end
}

// claims are those of a token that is bound to a webhook configuration
// (pkg/serviceaccount/claims.go of Kubernetes 1.37).
type claims struct {
	Kubernetes struct {
		Configuration struct {
			Name string `json:"name"`
		} `json:"mutatingwebhookconfiguration"`
		Attestations map[string][]string `json:"attestations"`
	} `json:"kubernetes.io"`
}

// verifySigned verifies a token, and returns its end.
func (v *Verifier) verifySigned(signed *jwt.JSONWebToken, keys *Keys) (end time.Time, why reason) {
	if keys == nil {
		return end, noKeys
	}
	candidates := keys.Set.Key(signed.Headers[0].KeyID)
	if len(candidates) == 0 {
		return end, unknownKey
	}
	var standard jwt.Claims
	var own claims
	if !slices.ContainsFunc(candidates, func(key jose.JSONWebKey) bool { return signed.Claims(key.Key, &standard, &own) == nil }) {
		return end, badSignature
	}
	switch {
	case standard.Issuer != keys.Issuer:
		return end, issuer
	case !slices.ContainsFunc(v.options.Audiences, standard.Audience.Contains):
		return end, audience
	case standard.Expiry == nil || standard.ValidateWithLeeway(jwt.Expected{Time: v.now()}, leeway) != nil:
		return end, expired
	case own.Kubernetes.Configuration.Name != v.options.ConfigurationName:
		return end, configuration
	case !slices.Contains(own.Kubernetes.Attestations[authenticationv1.AttestationAdmissionReviewAPIGroups], "*"):
		return end, attestation
	}
	return standard.Expiry.Time(), ""
}

// Discover returns the function that reads the issuer and the keys where API servers
// publish them (OpenID Connect Discovery 1.0 section 4). Get reads a path of the API
// server.
func Discover(get func(ctx context.Context, path string) ([]byte, error)) func(context.Context) (Keys, error) {
	return func(ctx context.Context) (keys Keys, err error) {
		var document struct {
			Issuer string `json:"issuer"`
		}
		var published struct {
			Keys []json.RawMessage `json:"keys"`
		}
		for _, part := range []struct {
			path string
			into any
		}{{"/.well-known/openid-configuration", &document}, {"/openid/v1/jwks", &published}} {
			text, err := get(ctx, part.path)
			if err != nil {
				return Keys{}, fmt.Errorf("could not read %s of the API server: %w", part.path, err)
			}
			if err := json.Unmarshal(text, part.into); err != nil {
				return Keys{}, fmt.Errorf("could not decode %s of the API server: %w", part.path, err)
			}
		}
		keys.Issuer = document.Issuer
		for _, text := range published.Keys {
			var key jose.JSONWebKey
			if json.Unmarshal(text, &key) == nil { // others are to be ignored (RFC 7517 section 5)
				keys.Set.Keys = append(keys.Set.Keys, key)
			}
		}
		if keys.Issuer == "" || len(keys.Set.Keys) == 0 {
			return Keys{}, errors.New("the API server publishes no issuer or no key that is known here")
		}
		return keys, nil
	}
}
