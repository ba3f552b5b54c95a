package providers

import (
	"net/http"
	"testing"
	"time"

	"github.com/aliyun/credentials-go/credentials"
)

func testAlibaba(t *testing.T) {
	for _, test := range []struct {
		name, host string
		asked      map[string]string
	}{
		{"everywhere", "sts.aliyuncs.com", nil},
		{"region", "sts.eu-central-1.aliyuncs.com", map[string]string{"alibaba-sts-region": "eu-central-1"}},
		{
			"vpc", "sts-vpc.eu-central-1.aliyuncs.com",
			map[string]string{"alibaba-sts-region": "eu-central-1", "alibaba-vpc-endpoint": "true"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := inject(t, "sts.aliyuncs.com", test.asked, map[string]string{
				"alibaba-role-arn":          "acs:ram::1234567890123456:role/app",
				"alibaba-oidc-provider-arn": "acs:ram::1234567890123456:oidc-provider/cluster",
			})
			internet.serve(t, test.host, assumeRoleWithOIDC(t, c))
			credential, err := credentials.NewCredential(nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first ones expire at once
				got, err := credential.GetCredential()
				if err != nil {
					t.Fatal(err)
				}
				if *got.AccessKeyId != "STS.example" || *got.AccessKeySecret != "secret" || *got.SecurityToken != "session" {
					t.Errorf("credentials: %v", got)
				}
				c.rotate(t)
			}
		})
	}
}

// https://www.alibabacloud.com/help/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc
func assumeRoleWithOIDC(t *testing.T, c *container) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		(&request{
			method: http.MethodPost, path: "/",
			query: map[string]string{"Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "Format": "JSON", "Timestamp": anything},
			form: map[string]string{
				"RoleArn": "acs:ram::1234567890123456:role/app", "OIDCProviderArn": "acs:ram::1234567890123456:oidc-provider/cluster",
				"OIDCToken": c.token, "DurationSeconds": "3600",
				"RoleSessionName": anything, // this SDK makes one up
			},
		}).check(t, r)
		reply(w, "application/json", `{"RequestId":"1","Credentials":{"AccessKeyId":"STS.example","AccessKeySecret":"secret",`+
			`"SecurityToken":"session","Expiration":"`+
			time.Now().UTC().Format(time.RFC3339)+`"}}`)
	}
}
