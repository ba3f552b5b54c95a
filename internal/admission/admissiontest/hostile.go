package admissiontest

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// Hostile is an input that was made to cost much.
type Hostile struct {
	Name string
	// Review makes the body of the request. It is at most 7 MiB.
	Review func() []byte
	// TooLarge reports whether an API server at its defaults would refuse the pod,
	// so that only somebody who calls the webhook by hand can send it: an object of
	// more than 3 MiB.
	TooLarge bool
}

// MaxObject is how large an object of a request may be at the defaults of an API
// server (k8s.io/apiserver, MaxRequestBodyBytes).
const MaxObject = 3 << 20

// HostileCorpus is every list of a pod and every nesting of lists, as long as the
// largest request and as long as an API server takes it; every annotation at its
// limit; and what is known to have cost more than it should.
func HostileCorpus() []Hostile {
	return append(append(append(lists(), annotated()...), documents()...), Products()...)
}

// hostilePod is a review of a pod that asks for a token and a login.
func hostilePod(annotations map[string]string, spec string) []byte {
	all := map[string]string{prefix + "audience": vault}
	maps.Copy(all, annotations)
	encoded, err := json.Marshal(all)
	if err != nil {
		panic(err) // a map of strings always marshals
	}
	return Review("CREATE", "", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app","namespace":"default","annotations":`+
		string(encoded)+`},"spec":{`+spec+`}}`, "null")
}

const (
	prefix = "oidc-injector.io/"
	vault  = "vault" // an audience, and a login method
)

// login is a login at Vault, as every configuration of the tests allows it.
var login = map[string]string{
	prefix + "login": vault, prefix + "login-address": "https://vault.example.com:8200", prefix + "login-role": "app",
}

// filled is a list of as many elements as have room in a number of bytes.
func filled(size int, element func(i int) string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i := 0; ; i++ {
		next := element(i)
		if b.Len()+len(next)+2 > size {
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(next)
	}
	b.WriteByte(']')
	return b.String()
}

func same(element string) func(int) string { return func(int) string { return element } }

func numbered(format string) func(int) string {
	return func(i int) string { return strings.ReplaceAll(format, "#", strconv.Itoa(i)) }
}

const (
	room      = MaxObject - 4096 // within an object that an API server takes
	wholeRoom = 7<<20 - 8192     // within a request that is read
)

// specLists are the lists of a pod, by where they stand; % is the list.
var specLists = []struct{ name, spec string }{
	{"containers", `"containers":%`},
	{"initContainers", `"containers":[{"name":"app"}],"initContainers":%`},
	{"ephemeralContainers", `"containers":[{"name":"app"}],"ephemeralContainers":%`},
	{"volumes", `"containers":[{"name":"app"}],"volumes":%`},
	{"env", `"containers":[{"name":"app","env":%}]`},
	{"envFrom", `"containers":[{"name":"app","envFrom":%}]`},
	{"volumeMounts", `"containers":[{"name":"app","volumeMounts":%}]`},
	{"volumeDevices", `"containers":[{"name":"app","volumeDevices":%}]`},
	{"env of an init container", `"containers":[{"name":"app"}],"initContainers":[{"name":"init","env":%}]`},
	{"sources of a volume", `"containers":[{"name":"app"}],"volumes":[{"name":"oidc-token","projected":{"sources":%}}]`},
	{"items of a volume", `"containers":[{"name":"app"}],"volumes":[{"name":"v","secret":{"items":%}}]`},
	{"items of a source", `"containers":[{"name":"app"}],"volumes":[{"name":"oidc-token",` +
		`"projected":{"sources":[{"secret":{"items":%}}]}}]`},
	{"imagePullSecrets", `"containers":[{"name":"app"}],"imagePullSecrets":%`},
	{"tolerations", `"containers":[{"name":"app"}],"tolerations":%`},
	{"affinity terms", `"containers":[{"name":"app"}],
	"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":%}}}`},
	{"affinity expressions", `"containers":[{"name":"app"}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":` +
		`{"nodeSelectorTerms":[{"matchExpressions":%}]}}}`},
}

// elements are what lists are filled with.
var elements = []struct {
	name string
	make func(int) string
}{
	{"empty objects", same("{}")},
	{"long names", numbered(`{"name":"` + strings.Repeat("n", 240) + `-#","mountPath":"/` + strings.Repeat("p", 400) + `/#"}`)},
	{"distinct names", numbered(`{"name":"v#","mountPath":"/var/run/secrets/tokens/#","value":"x"}`)},
}

// Shape is a request made of small pieces: a list of a pod, filled with an element
// (in which # is its index) up to a size, and an annotation whose value is repeated.
type Shape struct {
	List    uint8
	Element string
	Size    uint32
	Key     uint8
	Value   string
	Repeat  uint32
}

// Shapes are all combinations that are worth to begin with.
func Shapes() []Shape {
	var all []Shape
	for list := range specLists {
		for _, element := range []string{
			"{}", "null", "0", `{"name":"#"}`, `{"name":"v#","mountPath":"/var/run/secrets/tokens/#","value":"x"}`,
			`{"name":"#","#":{"#":[{},{},{}]}}`, `{"name":"` + strings.Repeat("n", 240) + `#"}`,
		} {
			all = append(all, Shape{List: uint8(list), Element: element, Size: 1 << 20})
		}
	}
	for key := range inputKeys {
		for _, value := range []string{"a", "a,", `"`, "-/", "ä", "https://a.example.com/"} {
			all = append(all, Shape{Key: uint8(key), Value: value, Repeat: 200_000})
		}
	}
	return all
}

// Review makes the request.
func (s Shape) Review() []byte {
	a := maps.Clone(login)
	if s.Repeat > 0 && s.Value != "" {
		a[prefix+inputKeys[int(s.Key)%len(inputKeys)]] = strings.Repeat(s.Value, int(s.Repeat%200_001)/len(s.Value))
	}
	element := s.Element
	if element == "" {
		element = "{}"
	}
	list := filled(int(s.Size%MaxObject), numbered(element))
	return hostilePod(a, strings.Replace(specLists[int(s.List)%len(specLists)].spec, "%", list, 1))
}

// lists are each list of a pod, of each kind of element.
func lists() []Hostile {
	var all []Hostile
	for _, list := range specLists {
		for _, element := range elements {
			for _, size := range []int{room, wholeRoom} {
				if size == wholeRoom && element.name != "empty objects" {
					continue // the largest number of elements is what is left to try
				}
				all = append(all, Hostile{
					Name: fmt.Sprintf("%s: %s, %.1f MB", list.name, element.name, float64(size)/1e6), TooLarge: size > MaxObject,
					Review: func() []byte {
						return hostilePod(login, strings.Replace(list.spec, "%", filled(size, element.make), 1))
					},
				})
			}
		}
	}
	return append(all, Hostile{
		Name: "supplementalGroups, 7.3 MB", TooLarge: true, Review: func() []byte {
			return hostilePod(login, `"securityContext":{"supplementalGroups":`+filled(wholeRoom, same("1"))+
				`},"containers":[{"name":"app"}]`)
		},
	}, Hostile{
		Name: "supplementalGroups, 3.1 MB", Review: func() []byte {
			return hostilePod(login, `"securityContext":{"supplementalGroups":`+filled(room, same("1"))+`},"containers":[{"name":"app"}]`)
		},
	})
}

// inputKeys are the keys that somebody may write.
var inputKeys = annotations.InputKeys()

// annotated are each annotation at the limit of all annotations (256 KiB), and
// all of them together.
func annotated() []Hostile {
	const most = 200_000
	const app = `"containers":[{"name":"app"}]`
	var all []Hostile
	for _, key := range inputKeys {
		for name, value := range map[string]string{
			"one word": strings.Repeat("a", most), "a list": strings.Repeat("a,", most/2), "quotes": strings.Repeat(`"`, most/2),
			"dashes": strings.Repeat("-/", most/2),
		} {
			all = append(all, Hostile{Name: "annotation " + key + ": " + name, Review: func() []byte {
				a := maps.Clone(login)
				a[prefix+key] = value
				return hostilePod(a, app)
			}})
		}
		all = append(all, Hostile{Name: "annotation " + key + ": a long suffix", Review: func() []byte {
			return hostilePod(map[string]string{prefix + key + "." + strings.Repeat("s", most): "x"}, app)
		}})
	}
	return append(all, Hostile{Name: "annotations: thousands of suffixes", Review: func() []byte {
		a := map[string]string{}
		for i := range 5000 {
			a[fmt.Sprintf("%saudience.t%d", prefix, i)] = vault
		}
		return hostilePod(a, app)
	}}, Hostile{Name: "annotations: thousands that are not known", Review: func() []byte {
		a := map[string]string{}
		for i := range 10_000 {
			a[fmt.Sprintf("%saudienze%d", prefix, i)] = vault
		}
		return hostilePod(a, app)
	}}, Hostile{Name: "annotations: a hundred thousand foreign ones", Review: func() []byte {
		a := map[string]string{}
		for i := range 100_000 {
			a[fmt.Sprintf("example.com/a%d", i)] = "x"
		}
		return hostilePod(a, app)
	}})
}

// documents are JSON that is hard to read, or is none.
func documents() []Hostile {
	const app = `"containers":[{"name":"app"}],"future":`
	spec := func(value func() string) func() []byte {
		return func() []byte { return hostilePod(nil, app+value()) }
	}
	return []Hostile{
		{Name: "deep nesting of lists", Review: spec(func() string { return strings.Repeat("[", 9000) + strings.Repeat("]", 9000) })},
		{Name: "deep nesting of objects", Review: spec(func() string {
			return strings.Repeat(`{"a":`, 9000) + "1" +
				strings.Repeat("}", 9000)
		})},
		{Name: "deeper nesting than allowed", Review: spec(func() string {
			return strings.Repeat("[", room/2) +
				strings.Repeat("]", room/2)
		})},
		{Name: "wide lists, deeply nested", Review: spec(func() string {
			return strings.Repeat("[", 5000) + filled(room-20_000, same("[[]]")) + strings.Repeat("]", 5000)
		})},
		{Name: "many members", Review: spec(func() string {
			list := filled(room, numbered(`"#":0`))
			return "{" + list[1:len(list)-1] + "}"
		})},
		{Name: "a million members", TooLarge: true, Review: spec(func() string {
			list := filled(wholeRoom, func(i int) string { return fmt.Sprintf(`"%x":0`, i) })
			return "{" + list[1:len(list)-1] + "}"
		})},
		{Name: "many members at the top", Review: func() []byte {
			list := filled(room, numbered(`"#":0`))
			return []byte("{" + list[1:len(list)-1] + "}")
		}},
		{Name: "a duplicate name behind many members", Review: spec(func() string {
			list := filled(room, numbered(`"#":0`))
			return "{" + list[1:len(list)-1] + `,"0":1}`
		})},
		{Name: "escapes", Review: spec(func() string { return `"` + strings.Repeat(`\u00e4`, room/6) + `"` })},
		{Name: "escapes in an annotation", Review: func() []byte {
			return []byte(strings.ReplaceAll(string(hostilePod(map[string]string{prefix + "env": strings.Repeat("a", 200_000)}, app+"1")),
				"aaaa", `a\u0061a\n`))
		}},
		{Name: "escaped names", Review: spec(func() string {
			list := filled(room, numbered(`"\u006e\u0061\u006d\u0065#":0`))
			return "{" + list[1:len(list)-1] + "}"
		})},
		{Name: "one long string", Review: spec(func() string { return `"` + strings.Repeat("a", room) + `"` })},
		{Name: "one long name", Review: spec(func() string { return `{"` + strings.Repeat("a", room) + `":1}` })},
		{Name: "one long number", Review: spec(func() string { return strings.Repeat("1", room) })},
		{Name: "white space", Review: spec(func() string { return strings.Repeat(" ", room) + "1" })},
		{Name: "a long name of the pod and a long uid", Review: func() []byte {
			long := strings.Repeat("n", 1<<20)
			review := strings.Replace(string(hostilePod(map[string]string{prefix + "expiration": "x"}, `"containers":[{"name":"app"}]`)),
				`"uid":"`, `"uid":"`+long, 1)
			return []byte(strings.ReplaceAll(review, `"name":"app"`, `"name":"`+long+`"`))
		}},
		{Name: "the object before the resource", Review: func() []byte {
			object := `{"metadata":{"annotations":{"` + prefix + `audience":"x"}},"spec":{"containers":` + filled(room, same("{}")) + `}}`
			return []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"CREATE",` +
				`"object":` +
				object + `,"resource":{"group":"","version":"v1","resource":"pods"}}}`)
		}},
		{Name: "cut off", Review: func() []byte {
			body := hostilePod(nil, `"containers":`+filled(room, same("{}")))
			return body[:len(body)-3]
		}},
		{Name: "zeros", TooLarge: true, Review: func() []byte { return make([]byte, wholeRoom) }},
	}
}

// Products are pods in which a few things of each kind make many of another.
func Products() []Hostile {
	const deep = "/var/run/secrets/t/" // below which mount paths are allowed
	tokens := func(n int, path string) map[string]string {
		a := maps.Clone(login)
		for i := range n {
			a[fmt.Sprintf("%saudience.t%d", prefix, i)] = vault
			a[fmt.Sprintf("%smount-path.t%d", prefix, i)] = fmt.Sprintf("%s%d", path, i)
		}
		return a
	}
	logins := func(a map[string]string, n int) map[string]string {
		for i := range n {
			for key, value := range login {
				a[fmt.Sprintf("%s.t%d", key, i)] = value
			}
			a[fmt.Sprintf("%slogin-mount-path.t%d", prefix, i)] = fmt.Sprintf("/var/run/secrets/l/%d", i)
			a[fmt.Sprintf("%slogin-env.t%d", prefix, i)] = fmt.Sprintf("LOGIN_%d", i)
		}
		return a
	}
	named := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(`{"name":"c%d"}`, i)
		}
		return "[" + strings.Join(names, ",") + "]"
	}
	mounts := func(containers, each int, path string) string {
		list := make([]string, containers)
		for i := range list {
			paths := make([]string, each)
			for j := range paths {
				paths[j] = fmt.Sprintf(`{"name":"s","mountPath":"%s%d/m%d"}`, path, j%32, j)
			}
			list[i] = fmt.Sprintf(`{"name":"c%d","volumeMounts":[%s]}`, i, strings.Join(paths, ","))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	long := deep + strings.Repeat("p", 900) + "/"
	return []Hostile{
		{Name: "1000 containers × 31 tokens × 7 logins × long paths", Review: func() []byte {
			return hostilePod(logins(tokens(31, long), 7), `"containers":`+named(1000))
		}},
		{Name: "1000 containers × 31 tokens × short paths", Review: func() []byte {
			return hostilePod(tokens(31, deep), `"containers":`+named(1000))
		}},
		{Name: "500 containers and 500 init containers × 31 tokens with variables", Review: func() []byte {
			a := tokens(31, long)
			for i := range 31 {
				a[fmt.Sprintf("%senv.t%d", prefix, i)] = fmt.Sprintf("TOKEN_%d_%s", i, strings.Repeat("X", 200))
			}
			return hostilePod(a, `"containers":`+named(500)+`,"initContainers":`+strings.ReplaceAll(named(500), `"c`, `"i`))
		}},
		{Name: "100 containers × 100 mounts of a Secret below 31 token directories", Review: func() []byte {
			return hostilePod(tokens(31, deep), `"volumes":[{"name":"s","secret":{"secretName":"s"}}],"containers":`+mounts(100, 100, deep))
		}},
		{Name: "1000 containers × 40 mounts below 31 token directories", Review: func() []byte {
			return hostilePod(tokens(31, deep), `"volumes":[{"name":"s","emptyDir":{}}],"containers":`+mounts(1000, 40, deep))
		}},
		{Name: "one container × 40 000 mounts at the same path", Review: func() []byte {
			return hostilePod(tokens(31, deep), `"containers":[{"name":"c","volumeMounts":`+
				filled(room-8000, same(`{"name":"s","mountPath":"/var/run/secrets/t/1"}`))+`}]`)
		}},
		{Name: "1000 containers × many variables", Review: func() []byte {
			env := filled(2400, numbered(`{"name":"VAULT_ADDR","value":"#"}`))
			return hostilePod(logins(tokens(31, deep), 7), `"containers":`+strings.ReplaceAll(named(1000), `"}`, `","env":`+env+`}`))
		}},
		{Name: "volumes that look like ours", Review: func() []byte {
			return hostilePod(tokens(31, deep), `"containers":`+named(100)+`,"volumes":`+filled(room-40_000, numbered(
				`{"name":"oidc-token-t#","projected":{"sources":[{"serviceAccountToken":{"audience":"vault","path":"oidc-token"}}]}}`)))
		}},
		{Name: "a debug container in a pod of 3 MB, twice", TooLarge: false, Review: func() []byte {
			pod := func(extra string) string {
				return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app","annotations":{"` + prefix +
					`audience":"vault"}},"spec":{"containers":` +
					filled(room, numbered(`{"name":"c#","volumeMounts":[{"name":"oidc-token","mountPath":"/var/run/secrets/tokens"}]}`)) +
					extra + `}}`
			}
			return Review("UPDATE", "ephemeralcontainers", pod(`,"ephemeralContainers":[{"name":"debug","targetContainerName":"c1"}]`),
				pod(""))
		}},
		{Name: "many debug containers", Review: func() []byte {
			pod := func(extra string) string {
				return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app","annotations":{"` + prefix +
					`audience":"vault"}},"spec":{"containers":[{"name":"app"}]` + extra + `}}`
			}
			return Review("UPDATE", "ephemeralcontainers",
				pod(`,"ephemeralContainers":`+filled(room, numbered(`{"name":"d#","targetContainerName":"app"}`))), pod(""))
		}},
	}
}
