package providers

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"testing"

	_ "github.com/snowflakedb/gosnowflake"

	_ "github.com/oidc-injector/oidc-injector/test/providers/before"
)

func testSnowflake(t *testing.T) {
	t.Run("required", func(t *testing.T) {
		c := inject(t, "snowflakecomputing.com", map[string]string{"snowflake-account": "example-team"})
		openSession(t, c, "example-team.snowflakecomputing.com", nil, map[string]any{"ACCOUNT_NAME": "example-team"})
	})
	t.Run("all", func(t *testing.T) {
		c := inject(t, "warehouse", map[string]string{
			"snowflake-audience": "warehouse", "snowflake-account": "AB12345.eu-central-1", "snowflake-user": "APP@EXAMPLE",
			"snowflake-role": "READER", "snowflake-warehouse": "SMALL", "snowflake-database": "DEMO", "snowflake-schema": "PUBLIC",
			"snowflake-host": "snowflake.private.example", "snowflake-skip-permission-check": "true",
		})
		openSession(t, c, "snowflake.private.example",
			map[string]string{"roleName": "READER", "warehouse": "SMALL", "databaseName": "DEMO", "schemaName": "PUBLIC"},
			map[string]any{"ACCOUNT_NAME": "AB12345.eu-central-1"}) // the Go driver sends no user with such a token
	})
}

// openSession has the driver open sessions as it is configured by the file, and end them.
func openSession(t *testing.T, c *container, host string, query map[string]string, login map[string]any) {
	t.Helper()
	// It would look for the clouds' metadata servers, past every proxy.
	t.Setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
	opened, ended := 0, 0
	asked := map[string]string{"requestId": anything, "request_guid": anything}
	maps.Copy(asked, query)
	for _, revoked := range []string{"ocsp." + host, "ocsp.snowflakecomputing.com"} {
		internet.serve(t, revoked, func(w http.ResponseWriter, _ *http.Request) { reply(w, "application/json", "{}") })
	}
	internet.serve(t, host, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/telemetry/send":
			reply(w, "application/json", `{"success":true}`)
			return
		case "/session":
			ended++
			(&request{
				method: http.MethodPost, path: "/session", header: map[string]string{"Authorization": `Snowflake Token="session"`},
				query: map[string]string{"delete": "true", "requestId": anything, "request_guid": anything},
			}).check(t, r)
			reply(w, "application/json", `{"success":true}`)
			return
		}
		opened++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		// https://docs.snowflake.com/en/user-guide/workload-identity-federation
		(&request{
			method: http.MethodPost, path: "/session/v1/login-request", query: asked, json: map[string]any{"data": anything},
		}).check(t, r)
		var got struct {
			Data map[string]any `json:"data"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		want := map[string]any{
			"AUTHENTICATOR": "WORKLOAD_IDENTITY", "PROVIDER": "OIDC", "TOKEN": c.token,
			"CLIENT_APP_ID": "Go", "CLIENT_APP_VERSION": anything, "SVN_REVISION": "", "CLIENT_ENVIRONMENT": anything,
			"SESSION_PARAMETERS": anything,
		}
		maps.Copy(want, login)
		compare(t, "login", want, got.Data)
		reply(w, "application/json", `{"success":true,"data":{"token":"session","masterToken":"master","validityInSeconds":3600,`+
			`"masterValidityInSeconds":14400,"sessionId":1,"parameters":[{"name":"CLIENT_TELEMETRY_ENABLED","value":false}]}}`)
	})
	for range 2 {
		db, err := sql.Open("snowflake", "autoConfig")
		if err != nil {
			t.Fatal(err)
		}
		connection, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		c.rotate(t)
	}
	if opened != 2 || ended != 2 {
		t.Errorf("%d sessions are opened and %d ended: want two", opened, ended)
	}
}
