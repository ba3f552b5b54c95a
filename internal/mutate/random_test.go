package mutate_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"unicode/utf8"
)

// random makes pods as odd as the API server could send them: with fields that
// nobody knows, null lists, numbers that do not fit, and members in any order.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, seed))} }

// chance is true in one of n cases.
func (r random) chance(n int) bool { return r.IntN(n) == 0 }

func pick[T any](r random, from ...T) T { return from[r.IntN(len(from))] }

// object is a JSON object. Arrays are []any, numbers json.Number.
type object = map[string]any

// pod returns a pod that asks for tokens. What contradicts them is rare.
func (r random) pod() object {
	var names []string
	containers := r.containers(&names, 1+r.IntN(3))
	spec := object{"containers": containers}
	if !r.chance(3) {
		spec["initContainers"] = r.containers(&names, r.IntN(3))
	}
	if r.chance(10) {
		spec["os"] = object{"name": "windows"}
	}
	if r.chance(2) {
		spec["securityContext"] = r.security(true)
	}
	r.list(spec, "volumes", r.volumes())
	metadata := object{"annotations": r.annotations(names, spec["os"] != nil)}
	metadata[pick(r, "name", "generateName")] = "pod-"
	return r.sprinkle(object{"metadata": r.sprinkle(metadata), "spec": r.sprinkle(spec)})
}

// annotations asks for up to three tokens that do not contradict each other.
func (r random) annotations(containers []string, windows bool) object {
	all := object{"example.com/other": "<&>\u2028"}
	dirs := []string{"/tokens", "/vault/ü dir", "/run/secrets/t"}
	if windows {
		dirs = append(dirs, `C:\Tokens`, "c:/tokens")
	}
	for i, suffix := range []string{"", ".aws", ".b-2"} {
		set := func(n int, key, value string) {
			if r.chance(n) {
				all["oidc-injector.io/"+key+suffix] = value
			}
		}
		if !windows && r.chance(3) {
			r.login(i, func(n int, key string, values ...string) { set(n, key, pick(r, values...)) })
			if suffix != "" && r.chance(3) {
				if r.chance(2) {
					set(1, pick(r, "containers", "skip-containers"), pick(r, containers...))
				}
				continue // it uses the default token
			}
		} else if suffix != "" && r.chance(2) {
			continue
		}
		set(1, "audience", pick(r, "vault", "sts.amazonaws.com", `https://ü.example/"a"?b=<c>`))
		set(2, "expiration", pick(r, "600", "7200", "2h", "1h30m", "86400"))
		set(2, "mount-path", pick(r, dirs...)+strconv.Itoa(i))
		set(3, "token-file", fmt.Sprintf("file %d.jwt", i))
		set(8, "file-mode", pick(r, "0400", "0440", "444"))
		set(2, "env", fmt.Sprintf("TOKEN_%d", i))
		set(9, "inject", pick(r, "true", "false", "1", "f"))
		if r.chance(2) {
			list := pick(r, containers...) + " , " + pick(r, append(containers, "missing")...)
			set(1, pick(r, "containers", "skip-containers"), list)
		}
	}
	if r.chance(4) {
		all["oidc-injector.io/gcp-provider"] = "projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster"
		if r.chance(2) {
			all["oidc-injector.io/gcp-service-account"] = "app@example.iam.gserviceaccount.com"
		}
	}
	if r.chance(20) {
		all["oidc-injector.io/status"] = "{}"
	}
	return all
}

// login asks for a login that contradicts no token.
func (r random) login(i int, set func(n int, key string, values ...string)) {
	if r.chance(3) {
		set(1, "login", "token-exchange", "jwt-bearer", "client-assertion")
		set(1, pick(r, "login-address", "login-issuer"), "https://login.example.com")
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
	set(4, pick(r, "login-ca-configmap", "login-ca-secret"), "ca", "ca/root.pem")
	set(6, "login-token", "default")
}

// containers returns containers, and appends their names.
func (r random) containers(names *[]string, n int) []any {
	list := make([]any, 0, n)
	for range n {
		name := "c" + strconv.Itoa(len(*names))
		*names = append(*names, name)
		list = append(list, r.container(name))
	}
	return list
}

func (r random) container(name string) object {
	c := object{"name": name}
	if r.chance(2) {
		c["securityContext"] = r.security(false)
	}
	if r.chance(6) {
		c["restartPolicy"] = "Always"
	}
	mounts := []any{}
	for range r.IntN(3) {
		mounts = append(mounts, r.sprinkle(object{
			"name":      pick(r, "data", "kube-api-access"),
			"mountPath": "/data/" + strconv.Itoa(len(mounts)),
		}))
	}
	if r.chance(30) {
		mounts = append(mounts, r.sprinkle(object{
			"name":      "data",
			"mountPath": pick(r, "/tokens0", "/run/secrets/tokens", "/var/run/secrets/tokens/x", "/var/run", "/login0/x"),
		}))
	}
	r.list(c, "volumeMounts", mounts)
	env := []any{}
	for i := range r.IntN(3) {
		env = append(env, r.sprinkle(object{"name": "VAR_" + strconv.Itoa(i), "value": "x"}))
	}
	if r.chance(30) {
		env = append(env, r.sprinkle(object{"name": "TOKEN_0", pick(r, "value", "x-value"): "/x"}))
	}
	if r.chance(10) {
		env = append(env, r.sprinkle(object{
			"name":  pick(r, "VAULT_ADDR", "VAULT_TOKEN_FILE", "VAULT_NAMESPACE", "VAULT_CACERT"),
			"value": "x",
		}))
	}
	r.list(c, "env", env)
	return r.sprinkle(c)
}

func (r random) volumes() []any {
	list := []any{
		object{"name": "data", pick(r, "emptyDir", "configMap", "x-future"): object{}},
		object{"name": "kube-api-access", "projected": object{"sources": []any{object{"serviceAccountToken": object{"path": "token"}}}}},
	}
	if r.chance(30) {
		list = append(list, object{"name": pick(r, "oidc-token", "oidc-login"), "emptyDir": object{}})
	}
	for _, v := range list {
		r.sprinkle(v.(object))
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (r random) security(ofPod bool) object {
	s := object{}
	set := func(n int, key string, values ...int64) {
		if r.chance(n) {
			s[key] = json.Number(strconv.FormatInt(pick(r, values...), 10))
		}
	}
	set(2, "runAsUser", 0, 0, 1000, 1000, 2000)
	set(3, "runAsGroup", 0, 1000)
	if ofPod {
		set(5, "fsGroup", 0, 3000)
		if r.chance(5) {
			s["supplementalGroups"] = []any{json.Number("5"), json.Number(pick(r, "0", "6"))}
		}
	}
	return r.sprinkle(s)
}

// list sets a list, which may be null or absent where it is empty.
func (r random) list(o object, key string, list []any) {
	switch {
	case len(list) > 0 || r.chance(3):
		o[key] = list
	case r.chance(2):
		o[key] = nil
	}
}

// sprinkle adds fields that nobody knows.
func (r random) sprinkle(o object) object {
	for range r.IntN(3) {
		o[pick(r, "xFuture", "Name", "ünï/~code", "", "sPec", "name ", "<&>")] = r.value(3)
	}
	return o
}

// value is any JSON value.
func (r random) value(depth int) any {
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.chance(2)
	case 2, 3:
		return json.Number(pick(r, "0", "-0", "1e400", "0.10", "12345678901234567890", "-1.5E-3", "1.0"))
	case 4:
		return pick(r, "", "a", "ü\u2028😀", "\x00\x1f\x7f\ufffd", `"\/`, "<&>", "null")
	case 5:
		o := object{}
		for range r.IntN(3) {
			o[pick(r, "name", "b", "~1/", "")] = r.value(depth - 1)
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

// encode writes JSON in one of the many ways in which it can be written.
func (r random) encode(v any) []byte {
	return r.appendValue(r.appendSpace(nil), v)
}

func (r random) appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case object:
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

func (r random) appendString(b []byte, s string) []byte {
	escapeAll := r.chance(20)
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

func (r random) appendSpace(b []byte) []byte {
	if r.chance(10) {
		b = append(b, pick(r, " ", "\n", "\t", "\r\n  ")...)
	}
	return b
}
