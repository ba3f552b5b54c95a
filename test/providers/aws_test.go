package providers

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func assumeRole(t *testing.T, c *container, role, session string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		(&request{method: http.MethodPost, path: "/", form: map[string]string{
			"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
			"RoleArn": role, "RoleSessionName": session, "WebIdentityToken": c.token,
		}}).check(t, r)
		if r.Header.Get("Authorization") != "" {
			t.Error("the request is signed: there are other credentials")
		}
		reply(w, "text/xml", fmt.Sprintf(`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>%s</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	}
}

// awsCredentials are those that the SDK gets, twice, with a token that was rotated between.
func awsCredentials(t *testing.T, c *container) aws.Config {
	t.Helper()
	cfg, err := awsconfig.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := cfg.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.AccessKeyID != "ASIAEXAMPLE" || got.SecretAccessKey != "secret" || got.SessionToken != "session" {
			t.Errorf("credentials: %+v", got)
		}
		cfg.Credentials.(*aws.CredentialsCache).Invalidate()
		c.rotate(t)
	}
	return cfg
}

func testAWS(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/team/app"
	c := inject(t, map[string]string{"aws-role-arn": role, "aws-region": "eu-central-1"})
	internet.serve(t, "sts.eu-central-1.amazonaws.com", assumeRole(t, c, role, "team.app-0"))
	if cfg := awsCredentials(t, c); cfg.Region != "eu-central-1" {
		t.Errorf("region %q", cfg.Region)
	}
}

func testMinIO(t *testing.T) {
	const role = "arn:minio:iam:::role/nOybJqMNzNmroqEKq5D0EUsRZw0"
	bundle := filepath.Join(t.TempDir(), "ca.crt")
	write(t, bundle, string(internet.private.pem()))
	c := inject(t, map[string]string{
		"minio-audience": "minio", "minio-role-arn": role, "minio-endpoint": "https://minio.example:9000", "minio-ca-bundle": bundle,
	})
	if c.audience != "minio" {
		t.Errorf("audience %q", c.audience)
	}
	internet.servePrivately(t, "minio.example:9000", storage(t, "us-east-1", assumeRole(t, c, role, "team.app-0")))
	listBuckets(t, awsCredentials(t, c))
}

func testCeph(t *testing.T) {
	const role = "arn:aws:iam:::role/team/app"
	c := inject(t, map[string]string{
		"ceph-audience": "rgw", "ceph-role-arn": role, "ceph-endpoint": "http://rgw.example:7480", "ceph-region": "default", "ceph-session-name": "app",
	})
	internet.serve(t, "rgw.example:7480", storage(t, "default", assumeRole(t, c, role, "app")))
	listBuckets(t, awsCredentials(t, c))
	if path, set := os.LookupEnv("AWS_CA_BUNDLE"); set {
		t.Errorf("AWS_CA_BUNDLE is %q", path)
	}
}

// storage is one server for STS and S3, which gets the credentials of the former.
func storage(t *testing.T, region string, sts http.HandlerFunc) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			sts(w, r)
			return
		}
		(&request{
			method: http.MethodGet, path: "/", query: map[string]string{"x-id": "ListBuckets"},
			header: map[string]string{"X-Amz-Security-Token": "session"},
		}).check(t, r)
		scope := "Credential=ASIAEXAMPLE/" + time.Now().UTC().Format("20060102") + "/" + region + "/s3/aws4_request"
		if got := r.Header.Get("Authorization"); !strings.Contains(got, scope) {
			t.Errorf("the request is signed by %q: want %s", got, scope)
		}
		reply(w, "application/xml", `<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Buckets><Bucket><Name>data</Name></Bucket></Buckets></ListAllMyBucketsResult>`)
	}
}

func listBuckets(t *testing.T, cfg aws.Config) {
	t.Helper()
	got, err := s3.NewFromConfig(cfg).ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Buckets) != 1 || aws.ToString(got.Buckets[0].Name) != "data" {
		t.Errorf("buckets: %v", got.Buckets)
	}
}
