package login

import (
	"context"
	"io"
	"strings"
	"testing"

	miniogo "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/minio"
)

// TestMinIO needs no login: MinIO's SDK takes the injected file to MinIO. The
// policy is that of docs/providers.md. It is not parallel, as it sets variables that
// a pod would have; and MinIO may have to be compiled, beside which others would not
// meet the ends of their leases.
func TestMinIO(t *testing.T) {
	s := startMinIO(t)
	t.Setenv("AWS_ROLE_ARN", s.RoleARN)
	for name, test := range map[string]struct{ ns, volume, err string }{
		"the subject of the policy": {ns: "default", volume: "oidc-token"},
		"another subject":           {ns: "minio-other", volume: "oidc-token", err: "Access Denied."},
		"another audience": {ns: "default", volume: "oidc-token-wrong", err: "STS JWT Token has `azp` claim invalid, " +
			"`azp` must match configured OpenID Client ID"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podtest.New("", "audience=minio", "env=AWS_WEB_IDENTITY_TOKEN_FILE", "audience.wrong=https://wrong.example.com")
			pod.GenerateName = "minio-"
			pod = podtest.Create(t, kube, namespace(t, test.ns, nil), pod)
			const variable = "AWS_WEB_IDENTITY_TOKEN_FILE"
			if got := podtest.Env(pod, "app", variable); got != "/var/run/secrets/tokens/oidc-token" {
				t.Errorf("%s is %q", variable, got)
			}
			t.Setenv(variable, tokenFile(t, pod, test.volume))
			c, err := s.Client(credentials.NewIAM(s.URL()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := writeAndRead(t.Context(), c, "hello")
			switch {
			case test.err == "" && (err != nil || got != "hello"):
				t.Errorf("the object is %q, error %v", got, err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got error %v, want %q", err, test.err)
			}
		})
	}
}

// TestMinIOProvider has MinIO's SDK find all it needs in a pod that says which server
// and which role: a real token, a real server, and no key.
func TestMinIOProvider(t *testing.T) {
	s := startMinIO(t)
	pod := podtest.New("", "minio-audience=minio", "minio-role-arn="+s.RoleARN, "minio-endpoint="+s.URL())
	pod.GenerateName = "minio-provider-"
	pod = podtest.Create(t, kube, namespace(t, "default", nil), pod)
	for _, v := range pod.Spec.Containers[0].Env {
		t.Setenv(v.Name, v.Value)
	}
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", tokenFile(t, pod, "oidc-token-minio"))
	if got := podtest.Env(pod, "app", "AWS_ENDPOINT_URL_STS"); got != s.URL() {
		t.Errorf("AWS_ENDPOINT_URL_STS is %q", got)
	}
	c, err := s.Client(credentials.NewIAM(podtest.Env(pod, "app", "AWS_ENDPOINT_URL_STS")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := writeAndRead(t.Context(), c, "hello"); err != nil || got != "hello" {
		t.Errorf("the object is %q, error %v", got, err)
	}
}

// writeAndRead writes an object into the bucket of the policy, and reads it.
func writeAndRead(ctx context.Context, c *miniogo.Client, content string) (string, error) {
	const bucket, object = "demo", "object"
	if err := c.MakeBucket(ctx, bucket, miniogo.MakeBucketOptions{}); err != nil {
		return "", err
	}
	if _, err := c.PutObject(ctx, bucket, object, strings.NewReader(content), int64(len(content)), miniogo.PutObjectOptions{}); err != nil {
		return "", err
	}
	reader, err := c.GetObject(ctx, bucket, object, miniogo.GetObjectOptions{})
	if err != nil {
		return "", err
	}
	defer reader.Close()
	read, err := io.ReadAll(reader)
	return string(read), err
}

// startMinIO has the policy that docs/providers.md recommends.
func startMinIO(t *testing.T) *minio.Server {
	t.Helper()
	_, text, _ := strings.Cut(readFile(t, "../../../docs/providers.md"), "\n### minio\n")
	_, text, _ = strings.Cut(text, "\n```json\n")
	policy, _, found := strings.Cut(text, "```\n")
	if !found {
		t.Fatal("docs/providers.md has no policy for MinIO")
	}
	return minio.StartForTest(t, minio.Options{IssuerURL: kube.Issuer(), IssuerCA: kube.CA(), Audience: "minio", Policy: policy})
}
