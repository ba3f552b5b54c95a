package mutate

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// LoginContainer is what login containers are made of, whatever pod they are in.
// The zero value lets no pod log in.
type LoginContainer struct {
	// Image is the image of the login program.
	Image string
	// ImagePullPolicy may be empty, which leaves it to the API server.
	ImagePullPolicy corev1.PullPolicy
	Resources       corev1.ResourceRequirements
	// CABundle holds certificate authorities, in PEM, for logins that name no
	// other; it may be empty.
	CABundle string
	// Env are further variables.
	Env []corev1.EnvVar
}

// loginContainer is the container that does a login, whose token is mounted from
// the volume of a name. A pod's containers share its address, so that only the
// first of its logins can listen; with the node's address, none does.
func loginContainer(pod *Pod, l login, tokenVolume string, first bool, settings LoginContainer) *corev1.Container {
	listens := first && !pod.hostNetwork
	c := &corev1.Container{
		Name:            l.containerName,
		Image:           settings.Image,
		ImagePullPolicy: settings.ImagePullPolicy,
		Env:             slices.Concat(loginEnv(pod, l, settings), furtherEnv(settings.Env, listens)),
		Resources:       settings.Resources,
		SecurityContext: loginSecurity(pod, l),
		VolumeMounts:    []corev1.VolumeMount{{Name: l.volume, MountPath: l.path}},
	}
	for _, v := range l.fileVolumes() {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: v.directory, ReadOnly: true})
	}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: tokenVolume, MountPath: l.exchanged.path, ReadOnly: true})
	if l.login.Sidecar() {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
		c.StartupProbe = startupProbe()
		if listens {
			c.Ports = listenPorts(settings.Env)
		}
	}
	return c
}

// listenPorts is the port that the program listens at, under the name by which a
// PodMonitor finds it.
func listenPorts(env []corev1.EnvVar) []corev1.ContainerPort {
	i := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == loginspec.ListenAddress.Env() })
	if i < 0 {
		return nil
	}
	_, text, err := net.SplitHostPort(env[i].Value)
	port, portErr := strconv.ParseInt(text, 10, 32)
	if err != nil || portErr != nil || port == 0 {
		return nil
	}
	return []corev1.ContainerPort{{Name: loginspec.PortName, ContainerPort: int32(port), Protocol: corev1.ProtocolTCP}}
}

// startupProbe holds back the containers that follow until the login is done.
// The program itself waits for that, so that a relying party which is away costs
// neither a process a second nor an event a second. It never gives up, within a
// person's patience: that would restart the container, and nothing else.
func startupProbe() *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			Exec: &corev1.ExecAction{Command: []string{loginspec.Program, loginspec.ReadyCommand, loginspec.ReadyWait}},
		},
		TimeoutSeconds:   loginspec.ReadyTimeoutSeconds,
		PeriodSeconds:    1,
		FailureThreshold: 86400,
	}
}

// loginSecurity passes the Pod Security Standard "restricted" wherever the pod
// does. The user and the group are set where the container would not inherit
// them, and left to the image where nothing is known of the pod's.
func loginSecurity(pod *Pod, l login) *corev1.SecurityContext {
	no, yes := false, true
	s := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no,
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		ReadOnlyRootFilesystem:   &yes,
		RunAsNonRoot:             &yes,
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if user := l.access.user; user != nil {
		if *user == root {
			s.RunAsNonRoot = &no
		}
		if !equal(user, pod.security.runAsUser) {
			s.RunAsUser = user
		}
	}
	if !equal(l.access.group, pod.security.runAsGroup) {
		s.RunAsGroup = l.access.group
	}
	return s
}

// loginEnv are the variables that tell the login program what to do. Empty ones
// are left out.
func loginEnv(pod *Pod, l login, settings LoginContainer) []corev1.EnvVar {
	env := make([]corev1.EnvVar, 0, 20)
	set := func(o loginspec.Name, value string) {
		if value != "" {
			env = append(env, corev1.EnvVar{Name: o.Env(), Value: literal(value)})
		}
	}
	own := ownValues(pod, l, settings)
	options := l.login.Spec().All()
	for i := range options {
		switch o := &options[i]; {
		case o.Name == "", !o.Written && l.login.Options[o.Name] == o.Default:
		case o.Secret != "" && l.login.Options[o.Name] != "":
			set(o.Name, loginspec.ClientDir+"/"+o.Secret)
		case l.login.Options[o.Name] != "":
			set(o.Name, l.login.Options[o.Name])
		default:
			set(o.Name, own[o.Name])
		}
	}
	return env
}

// ownValues are those of the options that no annotation sets, or not by their values.
func ownValues(pod *Pod, l login, settings LoginContainer) loginspec.Values {
	spec := l.login
	own := loginspec.Values{
		loginspec.MethodName: spec.Method,
		loginspec.JWTFile:    l.exchanged.token.Path(pod.OS),
		loginspec.OutputFile: spec.Path(),
		loginspec.OutputMode: fmt.Sprintf("%04o", l.access.mode),
	}
	if spec.Options[loginspec.ClientCert] != "" {
		own[loginspec.ClientKey] = loginspec.ClientDir + "/" + loginspec.ClientKeyFile
	}
	switch {
	case spec.CA != nil:
		own[loginspec.CAFile] = loginspec.CADir + "/" + loginspec.CAFileName
	case settings.CABundle != "":
		own[loginspec.CABundle] = settings.CABundle
	default:
		return own
	}
	own[loginspec.CAOutputFile] = spec.CAPath()
	return own
}

// furtherEnv are the variables of the configuration.
func furtherEnv(env []corev1.EnvVar, listens bool) []corev1.EnvVar {
	if listens {
		return env
	}
	return slices.DeleteFunc(slices.Clone(env), func(e corev1.EnvVar) bool { return e.Name == loginspec.ListenAddress.Env() })
}

// Limits of a login container in a Guaranteed pod that the configuration does
// not set. With less CPU the login would wait for its quota (docs/design/measurements.md).
var (
	guaranteedCPU    = resource.MustParse("100m")
	guaranteedMemory = resource.MustParse("32Mi")
)

// loginResources keeps a Guaranteed pod Guaranteed (Kubernetes documentation, "Pod
// Quality of Service Classes"): all of its containers have limits that equal their
// requests, for CPU and memory. What a pod names as a whole bounds the sum of its
// containers, and takes what they name beside it, so that the login container,
// which the author did not count in, names nothing.
func loginResources(pod *Pod, configured corev1.ResourceRequirements) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: configured.Requests, Limits: configured.Limits}
	switch {
	case pod.hasResources:
		return corev1.ResourceRequirements{}
	case pod.guaranteed():
		limits := corev1.ResourceList{corev1.ResourceCPU: guaranteedCPU, corev1.ResourceMemory: guaranteedMemory}
		for name, least := range limits {
			if request := configured.Requests[name]; request.Cmp(least) > 0 {
				limits[name] = request
			}
		}
		maps.Copy(limits, configured.Limits)
		requests := maps.Clone(limits)
		for name, quantity := range configured.Requests {
			if _, limited := limits[name]; !limited {
				requests[name] = quantity
			}
		}
		r.Requests, r.Limits = requests, limits
	}
	return r
}

// guaranteed reports whether the pod's quality of service is Guaranteed, as far as
// its containers decide (k8s.io/kubernetes/pkg/apis/core/v1/helper/qos).
func (p *Pod) guaranteed() bool {
	some := false
	for c := range p.createdContainers() {
		if !c.resources.cpu.fixed() || !c.resources.memory.fixed() {
			return false
		}
		some = true
	}
	return some
}

// fixed reports whether there is a limit, and the request equals it. A request
// that is missing is the limit.
func (a amount) fixed() bool {
	limit, ok := quantity(a.limit)
	if !ok || limit.IsZero() {
		return false
	}
	request, ok := quantity(a.request)
	return a.request == "" || ok && request.Cmp(limit) == 0
}

// quantity reads a quantity as it stands in JSON, a string or a number. One with so
// many digits, or with such an exponent, that it does not fit a machine word is
// none: with arbitrary precision, 1e10000000 takes seconds to compare.
func quantity(text string) (resource.Quantity, bool) {
	text = strings.Trim(text, `"`)
	digits, exponent, _ := strings.Cut(strings.ToLower(text[:min(len(text), 64)]), "e")
	if len(text) > 64 || len(digits) > 18 || len(strings.TrimLeft(exponent, "+-")) > 2 {
		return resource.Quantity{}, false
	}
	q, err := resource.ParseQuantity(text)
	return q, err == nil
}

// loginContainer compares a container that the pod has already with the one that
// would be added. What decides are its variables, where it writes, and whether it
// runs on; what others may rightly change, such as the registry of its image, does
// not.
func (k checker) loginContainer(p *plan, l login) {
	c, wanted := l.container, l.askedBy()
	if c.list != initContainers {
		k.fail(finding.NameConflict, func() *field.Error {
			return field.Invalid(c.field().Child("name"), c.name, message(
				"this name belongs to the login container that %s asks for: rename the container", wanted))
		})
		return
	}
	if child, value, how := k.difference(l); how != "" {
		k.fail(finding.NameConflict, func() *field.Error {
			return field.Invalid(c.field().Child(child), annotations.Shorten(value), message(
				"container %q is not the login container that %s asks for: %s; rename or remove the container", c.name, wanted,
				how))
		})
		return
	}
	for _, reader := range p.readers(l.view) {
		k.unreadableResult(reader, l.view)
	}
}

// difference says which field of a login container differs, its value, and how;
// all empty where none does.
func (k checker) difference(l login) (child, value, how string) {
	c := l.container
	writes := func(m mount) bool {
		return m.directory == l.directory && m.volume == l.volume && !m.partial && !m.device
	}
	name := differingVariable(c.env, loginEnv(k.pod, l, k.o.Login))
	switch sidecar := l.login.Sidecar(); {
	case name != "":
		return "env", name, "this variable differs"
	case sidecar && !c.sidecar:
		return "restartPolicy", "", "it must be Always"
	case !sidecar && c.sidecar:
		return "restartPolicy", "", "it must not be Always"
	case !slices.ContainsFunc(c.mounts, writes):
		return "volumeMounts", l.volume, "it does not mount this volume at " + l.path
	default:
		return "", "", ""
	}
}

// differingVariable returns the first variable of the program that a container
// has otherwise than it should, or not at all; empty where there is none. The
// result's mode counts as right whatever it is: it was chosen for the containers
// that the pod had then.
func differingVariable(has []envVar, wants []corev1.EnvVar) string {
	for i := range has { // all of them: of variables with one name the last one counts
		e := &has[i]
		if !loginspec.WrittenByWebhook(e.name) {
			continue
		}
		same := func(w corev1.EnvVar) bool { return w.Name == e.name && w.Value == e.value }
		if _, ok := resultMode(e); e.computed || !ok && !slices.ContainsFunc(wants, same) {
			return e.name
		}
	}
	for _, want := range wants {
		if !slices.ContainsFunc(has, func(e envVar) bool { return e.name == want.Name }) {
			return want.Name
		}
	}
	return ""
}

// resultMode reads the variable with the result's mode. It is false for others,
// and for what is no mode.
func resultMode(e *envVar) (int32, bool) {
	if e.name != loginspec.OutputMode.Env() {
		return 0, false
	}
	mode, err := strconv.ParseUint(e.value, 8, 31)
	return int32(mode), err == nil && mode <= 0o777
}
