package providers

import (
	"fmt"
	"net/http"
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
		reply(w, "text/xml", fmt.Sprintf(`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>
<Expiration>%s</Expiration></Credentials>
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
	for _, other := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Run("without "+other, func(t *testing.T) { // some SDKs know only one of them
			c := inject(t, "sts.amazonaws.com", map[string]string{"aws-role-arn": role, "aws-region": "eu-central-1"})
			unset(t, other)
			internet.serve(t, "sts.eu-central-1.amazonaws.com", assumeRole(t, c, role, "team.app-0"))
			if cfg := awsCredentials(t, c); cfg.Region != "eu-central-1" {
				t.Errorf("region %q", cfg.Region)
			}
		})
	}
}

func testMinIO(t *testing.T) {
	testStorage(t, "minio", "arn:minio:iam:::role/nOybJqMNzNmroqEKq5D0EUsRZw0")
}

func testCeph(t *testing.T) { testStorage(t, "ceph", "arn:aws:iam:::role/team/app") }

// testStorage tries a provider whose one server has both STS and S3.
func testStorage(t *testing.T, name, role string) {
	required := func(endpoint string) map[string]string {
		return map[string]string{name + "-audience": "storage", name + "-role-arn": role, name + "-endpoint": endpoint}
	}
	t.Run("with a private authority", func(t *testing.T) {
		bundle := filepath.Join(t.TempDir(), "ca.crt")
		write(t, bundle, string(internet.private.pem()))
		c := inject(t, "storage", required("https://storage.example:9000"), map[string]string{name + "-ca-bundle": bundle})
		unset(t, "AWS_REGION")
		internet.servePrivately(t, "storage.example:9000", storage(t, "us-east-1", assumeRole(t, c, role, "team.app-0")))
		listBuckets(t, awsCredentials(t, c))
	})
	t.Run("without TLS", func(t *testing.T) {
		c := inject(t, "storage", required("http://storage.example:7480"),
			map[string]string{name + "-region": "default", name + "-session-name": "app"})
		unset(t, "AWS_DEFAULT_REGION")
		internet.serve(t, "storage.example:7480", storage(t, "default", assumeRole(t, c, role, "app")))
		listBuckets(t, awsCredentials(t, c))
	})
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
		reply(w, "application/xml", `<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`+
			`<Buckets><Bucket><Name>data</Name></Bucket></Buckets></ListAllMyBucketsResult>`)
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
