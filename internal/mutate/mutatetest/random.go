// Package mutatetest makes pods at random, for tests of what becomes of them.
package mutatetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Random makes pods as odd as the API server could send them: with fields that
// nobody knows, null lists, numbers that do not fit, and members in any order.
type Random struct{ *rand.Rand }

// New returns one whose pods follow from the seed.
func New(seed uint64) Random { return Random{rand.New(rand.NewPCG(seed, seed))} }

// Chance is true in one of n cases.
func (r Random) Chance(n int) bool { return r.IntN(n) == 0 }

// Pick is one of the values.
func Pick[T any](r Random, from ...T) T { return from[r.IntN(len(from))] }

// Object is a JSON object. Arrays are []any, numbers json.Number.
type Object = map[string]any

// Pod returns a pod that asks for tokens. What contradicts them is rare.
func (r Random) Pod() Object {
	var names []string
	containers := r.containers(&names, 1+r.IntN(3))
	spec := Object{"containers": containers}
	if !r.Chance(3) {
		spec["initContainers"] = r.containers(&names, r.IntN(3))
	}
	if r.Chance(10) {
		spec["os"] = Object{"name": "windows"}
	}
	if r.Chance(2) {
		spec["securityContext"] = r.security(true)
	}
	r.list(spec, "volumes", r.volumes())
	metadata := Object{"annotations": r.annotations(names, spec["os"] != nil)}
	metadata[Pick(r, "name", "generateName")] = "pod-"
	return r.sprinkle(Object{"metadata": r.sprinkle(metadata), "spec": r.sprinkle(spec)})
}

// annotations asks for up to three tokens that do not contradict each other.
func (r Random) annotations(containers []string, windows bool) Object {
	all := Object{"example.com/other": "<&>\u2028"}
	dirs := []string{"/tokens", "/vault/ü dir", "/run/secrets/t"}
	if windows {
		dirs = append(dirs, `C:\Tokens`, "c:/tokens")
	}
	for i, suffix := range []string{"", ".aws", ".b-2"} {
		set := func(n int, key, value string) {
			if r.Chance(n) {
				all["oidc-injector.io/"+key+suffix] = value
			}
		}
		if !windows && r.Chance(3) {
			r.login(i, func(n int, key string, values ...string) { set(n, key, Pick(r, values...)) })
			if suffix != "" && r.Chance(3) {
				if r.Chance(2) {
					set(1, Pick(r, "containers", "skip-containers"), Pick(r, containers...))
				}
				continue // it uses the default token
			}
		} else if suffix != "" && r.Chance(2) {
			continue
		}
		set(1, "audience", Pick(r, "vault", "sts.amazonaws.com", `https://ü.example/"a"?b=<c>`))
		set(2, "expiration", Pick(r, "600", "7200", "2h", "1h30m", "86400"))
		set(2, "mount-path", Pick(r, dirs...)+strconv.Itoa(i))
		set(3, "token-file", fmt.Sprintf("file %d.jwt", i))
		set(8, "file-mode", Pick(r, "0400", "0440", "444"))
		set(2, "env", fmt.Sprintf("TOKEN_%d", i))
		set(9, "inject", Pick(r, "true", "false", "1", "f"))
		if r.Chance(2) {
			list := Pick(r, containers...) + " , " + Pick(r, append(containers, "missing")...)
			set(1, Pick(r, "containers", "skip-containers"), list)
		}
	}
	if r.Chance(4) {
		all["oidc-injector.io/gcp-provider"] = "projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster"
		if r.Chance(2) {
			all["oidc-injector.io/gcp-service-account"] = "app@example.iam.gserviceaccount.com"
		}
	}
	if r.Chance(20) {
		all["oidc-injector.io/status"] = "{}"
	}
	return all
}

// login asks for a login that contradicts no token.
func (r Random) login(i int, set func(n int, key string, values ...string)) {
	if r.Chance(3) {
		set(1, "login", "token-exchange", "jwt-bearer", "client-assertion")
		set(1, Pick(r, "login-address", "login-issuer"), "https://login.example.com")
		set(3, "login-scope", "a $(b)", "ü")
	} else {
		set(1, "login", "vault")
		set(1, "login-address", "https://vault.example.com:8200", "https://v")
		set(3, "login-namespace", "a$b", "team")
	}
	set(4, "login-mode", "init", "sidecar")
	set(3, "login-mount-path", fmt.Sprintf("/login%d", i), fmt.Sprintf("/vault/login %d", i))
	set(4, "login-file", "t", "access.json")
	set(4, "login-env", fmt.Sprintf("LOGIN_%d", i))
	set(4, "login-format", "json", "env")
	set(4, Pick(r, "login-ca-configmap", "login-ca-secret"), "ca", "ca/root.pem")
	set(6, "login-token", "default")
}

// containers returns containers, and appends their names.
func (r Random) containers(names *[]string, n int) []any {
	list := make([]any, 0, n)
	for range n {
		name := "c" + strconv.Itoa(len(*names))
		*names = append(*names, name)
		list = append(list, r.Container(name))
	}
	return list
}

// Container is one of that name.
func (r Random) Container(name string) Object {
	c := Object{"name": name}
	if r.Chance(2) {
		c["securityContext"] = r.security(false)
	}
	if r.Chance(6) {
		c["restartPolicy"] = "Always"
	}
	mounts := []any{}
	for range r.IntN(3) {
		mounts = append(mounts, r.sprinkle(Object{
			"name":      Pick(r, "data", "kube-api-access"),
			"mountPath": "/data/" + strconv.Itoa(len(mounts)),
		}))
	}
	if r.Chance(30) {
		mounts = append(mounts, r.sprinkle(Object{
			"name":      "data",
			"mountPath": Pick(r, "/tokens0", "/run/secrets/tokens", "/var/run/secrets/tokens/x", "/var/run", "/login0/x"),
		}))
	}
	r.list(c, "volumeMounts", mounts)
	env := []any{}
	for i := range r.IntN(3) {
		env = append(env, r.sprinkle(Object{"name": "VAR_" + strconv.Itoa(i), "value": "x"}))
	}
	if r.Chance(30) {
		env = append(env, r.sprinkle(Object{"name": "TOKEN_0", Pick(r, "value", "x-value"): "/x"}))
	}
	if r.Chance(10) {
		env = append(env, r.sprinkle(Object{
			"name":  Pick(r, "VAULT_ADDR", "VAULT_TOKEN_FILE", "VAULT_NAMESPACE", "VAULT_CACERT"),
			"value": "x",
		}))
	}
	r.list(c, "env", env)
	return r.sprinkle(c)
}

func (r Random) volumes() []any {
	list := []any{
		Object{"name": "data", Pick(r, "emptyDir", "configMap", "x-future"): Object{}},
		Object{"name": "kube-api-access", "projected": Object{"sources": []any{Object{"serviceAccountToken": Object{"path": "token"}}}}},
	}
	if r.Chance(30) {
		list = append(list, Object{"name": Pick(r, "oidc-token", "oidc-login"), "emptyDir": Object{}})
	}
	for _, v := range list {
		if o, ok := v.(Object); ok {
			r.sprinkle(o)
		}
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (r Random) security(ofPod bool) Object {
	s := Object{}
	set := func(n int, key string, values ...int64) {
		if r.Chance(n) {
			s[key] = json.Number(strconv.FormatInt(Pick(r, values...), 10))
		}
	}
	set(2, "runAsUser", 0, 0, 1000, 1000, 2000)
	set(3, "runAsGroup", 0, 1000)
	if ofPod {
		set(5, "fsGroup", 0, 3000)
		if r.Chance(5) {
			s["supplementalGroups"] = []any{json.Number("5"), json.Number(Pick(r, "0", "6"))}
		}
	}
	return r.sprinkle(s)
}

// list sets a list, which may be null or absent where it is empty.
func (r Random) list(o Object, key string, list []any) {
	switch {
	case len(list) > 0 || r.Chance(3):
		o[key] = list
	case r.Chance(2):
		o[key] = nil
	}
}

// sprinkle adds fields that nobody knows.
func (r Random) sprinkle(o Object) Object {
	for range r.IntN(3) {
		o[Pick(r, "xFuture", "Name", "ünï/~code", "", "sPec", "name ", "<&>")] = r.value(3)
	}
	return o
}

// value is any JSON value.
func (r Random) value(depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.Chance(2)
	case 2, 3:
		return json.Number(Pick(r, "0", "-0", "1e400", "0.10", "12345678901234567890", "-1.5E-3", "1.0"))
	case 4:
		return Pick(r, "", "a", "ü\u2028😀", "\x00\x1f\x7f\ufffd", `"\/`, "<&>", "null")
	case 5:
		o := Object{}
		for range r.IntN(3) {
			o[Pick(r, "name", "b", "~1/", "")] = r.value(depth - 1)
		}
		return o
	default:
		list := []any{}
		for range r.IntN(3) {
			list = append(list, r.value(depth-1))
		}
		return list
	}
}

// Encode writes JSON in one of the many ways in which it can be written.
func (r Random) Encode(v any) []byte {
	return r.appendValue(r.appendSpace(nil), v)
}

func (r Random) appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case Object:
		b = append(b, '{')
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for i, key := range keys {
			if i > 0 {
				b = r.appendSpace(append(b, ','))
			}
			b = r.appendSpace(append(r.appendSpace(r.appendString(b, key)), ':'))
			b = r.appendSpace(r.appendValue(b, v[key]))
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = r.appendSpace(append(b, ','))
			}
			b = r.appendSpace(r.appendValue(b, element))
		}
		return append(b, ']')
	case string:
		return r.appendString(b, v)
	case json.Number:
		return append(b, v...)
	case bool:
		return strconv.AppendBool(b, v)
	default:
		return append(b, "null"...)
	}
}

func (r Random) appendString(b []byte, s string) []byte {
	escapeAll := r.Chance(20)
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c > 0xffff && escapeAll:
			c -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04X`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		case c < 0x20 || escapeAll:
			b = fmt.Appendf(b, `\u%04x`, c)
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}

func (r Random) appendSpace(b []byte) []byte {
	if r.Chance(10) {
		b = append(b, Pick(r, " ", "\n", "\t", "\r\n  ")...)
	}
	return b
}
