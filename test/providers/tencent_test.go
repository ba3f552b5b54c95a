package providers

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
)

func testTencent(t *testing.T) {
	const role = "qcs::cam::uin/100000000001:roleName/app"
	c := inject(t, "sts.cloud.tencent.com", map[string]string{
		"tencent-role-arn": role, "tencent-provider-id": "cls-example",
		"tencent-region": "eu-frankfurt",
	})
	// https://www.tencentcloud.com/document/product/1150/49453
	internet.serve(t, "sts.tencentcloudapi.com", func(w http.ResponseWriter, r *http.Request) {
		(&request{
			method: http.MethodPost, path: "/",
			// Which region it is matters nowhere: the SDK has one of its own here.
			header: map[string]string{"X-TC-Action": "AssumeRoleWithWebIdentity", "X-TC-Version": "2018-08-13", "Authorization": "SKIP"},
			json: map[string]any{
				"ProviderId": "cls-example", "WebIdentityToken": c.token, "RoleArn": role, "RoleSessionName": anything,
				"DurationSeconds": float64(7200),
			},
		}).check(t, r)
		reply(w, "application/json", fmt.Sprintf(`{"Response":{"Credentials":{"Token":"session","TmpSecretId":"AKIDexample",`+
			`"TmpSecretKey":"secret"},"ExpiredTime":%d,"RequestId":"1"}}`,
			time.Now().Add(2*time.Hour).Unix()))
	})
	provider, err := common.DefaultTkeOIDCRoleArnProvider()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := provider.GetCredential()
		if err != nil {
			t.Fatal(err)
		}
		if got.GetSecretId() != "AKIDexample" || got.GetSecretKey() != "secret" || got.GetToken() != "session" {
			t.Errorf("credentials: %v", got)
		}
		c.rotate(t)
	}
}
