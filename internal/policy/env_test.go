package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/policy"
)

func TestEnv(t *testing.T) {
	t.Parallel()
	const (
		denied   = `the injector's policy denies this variable in namespace "prod"`
		bashEnv  = "BASH_* concerns shells and terminals: the injector's policy does not allow this variable by name"
		gitSSH   = "GIT_* concerns programs that others start: the injector's policy does not allow this variable by name"
		home     = "HOME concerns where a program finds its files: the injector's policy does not allow this variable by name"
		onlyTHIS = `the injector's policy allows in namespace "prod": THIS`
	)
	for _, tt := range []struct{ name, policy, variable, want string }{
		{"no policy", `{}`, "TOKEN_FILE", ""},
		{"no policy, a reserved one", `{}`, "BASH_ENV", bashEnv},
		{"the case does not count", `{}`, "bash_Env", bashEnv},
		{"empty lists", `{env: {allowed: [], denied: []}}`, "BASH_ENV", bashEnv},

		{"listed", `{env: {allowed: [THIS]}}`, "THIS", ""},
		{"listed in another case", `{env: {allowed: [this]}}`, "This", ""},
		{"not listed", `{env: {allowed: [THIS]}}`, "THAT", onlyTHIS},
		{"a token's name is not listed either", `{env: {allowed: [THIS]}}`, "VAULT_TOKEN", onlyTHIS},
		{"by a pattern", `{env: {allowed: ["A_*"]}}`, "A_TOKEN", ""},

		{"a pattern does not allow a reserved one", `{env: {allowed: ["*"]}}`, "BASH_ENV", bashEnv},
		{"nor does the pattern that reserves it", `{env: {allowed: ["BASH_*"]}}`, "BASH_ENV", bashEnv},
		{"its name does", `{env: {allowed: [BASH_ENV]}}`, "BASH_ENV", ""},
		{"its name in another case does", `{env: {allowed: [bash_env]}}`, "BASH_ENV", ""},
		{"one name allows no other", `{env: {allowed: [BASH_ENV, "*"]}}`, "HOME", home},
		{
			"a name makes a list, as everywhere", `{env: {allowed: [BASH_ENV]}}`, "TOKEN",
			`the injector's policy allows in namespace "prod": BASH_ENV`,
		},
		{"but not beside a star", `{env: {allowed: [BASH_ENV, "*"]}}`, "TOKEN", ""},

		{"denied", `{env: {denied: ["*_TOKEN"]}}`, "A_TOKEN", denied},
		{"denied in another case", `{env: {denied: ["a_*"]}}`, "A_TOKEN", denied},
		{"denied wins over allowed", `{env: {allowed: [BASH_ENV], denied: [BASH_ENV]}}`, "BASH_ENV", denied},
		{"others than the denied", `{env: {denied: ["*_TOKEN"]}}`, "TOKEN", ""},

		{"a namespace allows a reserved one", `{namespaces: [{namespaces: [prod], env: {allowed: [GIT_SSH]}}]}`, "GIT_SSH", ""},
		{"another namespace does", `{namespaces: [{namespaces: [test], env: {allowed: [GIT_SSH]}}]}`, "GIT_SSH", gitSSH},
		{"the lists add up", `{env: {allowed: [THIS]}, namespaces: [{namespaces: [prod], env: {allowed: [GIT_SSH]}}]}`, "THIS", ""},
		{"a namespace denies", `{namespaces: [{namespaces: ["pr*"], env: {denied: [THIS]}}]}`, "THIS", denied},
		{
			"what all are denied, a namespace cannot allow",
			`{env: {denied: [THIS]}, namespaces: [{namespaces: [prod], env: {allowed: [THIS]}}]}`, "THIS", denied,
		},
		{
			"a rule about audiences says nothing of variables", `{namespaces: [{namespaces: [prod], audiences: {allowed: [vault]}}]}`,
			"TOKEN",
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.want, parse(t, tt.policy).For("prod").Env(tt.variable))
		})
	}
}

// TestReservedVariables: what lets whoever writes an annotation run code, or
// keeps a program from its peers, is refused; what the clients of relying parties
// look for is not.
func TestReservedVariables(t *testing.T) {
	t.Parallel()
	rules := parse(t, `{}`).For("prod")
	for name := range strings.FieldsSeq(`
		LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES GLIBC_TUNABLES GCONV_PATH LOCPATH RES_OPTIONS HOSTALIASES MALLOC_CONF
		BASH_ENV ENV IFS PS4 PROMPT_COMMAND SHELLOPTS BASHOPTS CDPATH ZDOTDIR BASH_FUNC_x TERMINFO PSModulePath ComSpec
		PATH Path HOME USER SHELL TMPDIR TEMP XDG_CONFIG_HOME CURL_HOME JAVA_HOME KUBECONFIG AWS_CONFIG_FILE DOCKER_CONFIG AZURE_CONFIG_DIR
		EDITOR PAGER VISUAL LESSOPEN GIT_SSH_COMMAND GIT_CONFIG_GLOBAL SSH_ASKPASS RUSTC_WRAPPER
		PYTHONPATH PYTHONSTARTUP PERL5LIB PERL5OPT RUBYOPT RUBYLIB NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS JAVA_TOOL_OPTIONS
		_JAVA_OPTIONS JDK_JAVA_OPTIONS CLASSPATH CATALINA_OPTS PHP_INI_SCAN_DIR PHPRC LUA_PATH LUA_INIT GODEBUG GOFLAGS
		DOTNET_STARTUP_HOOKS CORECLR_PROFILER_PATH COR_PROFILER npm_config_script_shell PIP_INDEX_URL
		GTK_MODULES GIO_EXTRA_MODULES PKCS11_MODULE DJANGO_SETTINGS_MODULE CELERY_CONFIG_MODULE HELM_PLUGINS SPARK_CONF_DIR
		HADOOP_CONF_DIR SASL_PATH GNUPGHOME ODBCINI ODBCSYSINI
		PGSERVICEFILE PGSYSCONFDIR LDAPRC TNS_ADMIN
		OPENSSL_CONF OPENSSL_MODULES SSL_CERT_FILE SSL_CERT_DIR SSLKEYLOGFILE REQUESTS_CA_BUNDLE AWS_CA_BUNDLE KRB5_CONFIG VAULT_CACERT
		HTTP_PROXY https_proxy All_Proxy NO_PROXY KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT_443_TCP_ADDR
		REDIS_SERVICE_HOST REDIS_PORT_6379_TCP DATABASE_URL AWS_ENDPOINT_URL_STS DOCKER_HOST
		VAULT_ADDR VAULT_AGENT_ADDR VAULT_PROXY_ADDR VAULT_SKIP_VERIFY VAULT_NAMESPACE BAO_ADDR AWS_SHARED_CREDENTIALS_FILE CONSUL_HTTP_ADDR
	`) {
		if err := rules.Env(name); !errors.Is(err, policy.ErrReserved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range strings.FieldsSeq(`
		TOKEN TOKEN_FILE JWT_FILE ACCESS_TOKEN_FILE ACCESS_TOKEN_FILE_STS TOKEN_OF_WRITER DB_PASSWORD_FILE
		VAULT_TOKEN VAULT_TOKEN_FILE VAULT_TOKEN_FILE_KV VAULT_JWT VAULT_JWT_FILE BAO_TOKEN_FILE
		KUBERNETES_SERVICE_ACCOUNT_TOKEN AWS_WEB_IDENTITY_TOKEN_FILE AZURE_FEDERATED_TOKEN_FILE GOOGLE_APPLICATION_CREDENTIALS
		ALIBABA_CLOUD_OIDC_TOKEN_FILE TENCENTCLOUD_WEB_IDENTITY_TOKEN_FILE ARM_OIDC_TOKEN_FILE_PATH OCI_RESOURCE_PRINCIPAL_RPST
		CONSUL_HTTP_TOKEN_FILE NOMAD_TOKEN GITHUB_TOKEN GIT_TOKEN SPIFFE_ENDPOINT_SOCKET
	`) {
		if err := rules.Env(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
