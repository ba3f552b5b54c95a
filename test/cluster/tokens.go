package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/keyutil"
)

// AllowDiscovery lets anybody read the issuer's discovery document and keys, as
// an operator does with
//
//	kubectl create clusterrolebinding oidc-reviewer \
//	  --clusterrole=system:service-account-issuer-discovery --group=system:unauthenticated
//
// The API server acts by it a moment later.
func (c *Cluster) AllowDiscovery(ctx context.Context) error {
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "oidc-reviewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}},
	}
	_, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("could not allow discovery: %w", err)
	}
	return nil
}

// RequestToken asks the API server for the token of a projection, bound to the
// pod, as the kubelet of the pod's node does.
func (c *Cluster) RequestToken(ctx context.Context, pod *corev1.Pod, projection *corev1.ServiceAccountTokenProjection) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:         []string{projection.Audience},
		ExpirationSeconds: projection.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	response, err := c.client.CoreV1().ServiceAccounts(pod.Namespace).
		CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("could not request a token: %w", err)
	}
	return response.Status.Token, nil
}

// ShortenToken returns a token of the cluster with another end, signed by the
// cluster's own key: an API server issues none for less than ten minutes.
func (c *Cluster) ShortenToken(token string, expires time.Time) (string, error) {
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", fmt.Errorf("could not parse a token: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return "", fmt.Errorf("could not parse the claims of a token: %w", err)
	}
	claims["exp"] = expires.Unix()
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("could not encode the claims of a token: %w", err)
	}
	key, err := keyutil.PrivateKeyFromFile(c.pki.file("sa.key"))
	if err != nil {
		return "", fmt.Errorf("could not read the key for tokens: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: signed.Signatures[0].Header.KeyID},
	}, nil)
	if err != nil {
		return "", fmt.Errorf("could not prepare to sign a token: %w", err)
	}
	short, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("could not sign a token: %w", err)
	}
	return short.CompactSerialize()
}
