package mutate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/contract"
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

// login is one login of the pod: the container that does it, and the
// containers that read its result.
type login struct {
	*annotations.Login
	token   *annotations.Token
	readers []*container
	// container does the login. It is the pod's own, made by an earlier call, or
	// a new one, which added is made of; or there is none. Its name is
	// containerName.
	container     *container
	containerName string
	added         *corev1.Container
	// volumeName is the volume of the result.
	volumeName string
	access     resultAccess
}

// caVolume is the volume with the certificate authorities, if the login has one.
func (l *login) caVolume() string { return contract.Named(contract.CAVolume, l.Name) }

// findLogins finds out which logins the pod is to have, and in which containers
// they are done already.
func (in *injection) findLogins(logins []annotations.Login) {
	if len(logins) == 0 {
		return
	}
	in.logins = make([]*login, 0, len(logins))
	for i := range logins {
		at := slices.IndexFunc(in.tokens, func(t annotations.Token) bool { return t.Name == logins[i].Token })
		if at < 0 {
			continue // which is an error of the annotations
		}
		l := &login{
			Login: &logins[i], token: &in.tokens[at],
			containerName: contract.Named(contract.LoginContainer, logins[i].Name),
			volumeName:    contract.Named(contract.LoginVolume, logins[i].Name),
		}
		for c := range in.pod.createdContainers() {
			if c.name == l.containerName {
				l.container = c
				break
			}
		}
		in.logins = append(in.logins, l)
	}
}

// loginOf returns the login that the container of this name does, or nil. What
// annotations say of containers is not said of these: they see the token of
// their login, and nothing else.
func (in *injection) loginOf(name string) *login {
	for _, l := range in.logins {
		if l.containerName == name {
			return l
		}
	}
	return nil
}

// addLogins prepares the containers that the pod lacks. A login whose result
// nobody reads has none.
func (in *injection) addLogins() {
	for _, l := range in.logins {
		for c := range in.pod.createdContainers() {
			if in.loginOf(c.name) == nil && l.Containers.Includes(c.name) {
				l.readers = append(l.readers, c)
			}
		}
		if len(l.readers) > 0 {
			l.access = in.pod.resultAccess(l.readers)
		}
		switch {
		case len(l.readers) == 0:
			in.warnOnce(fmt.Sprintf("no container of the pod gets the result of login %q", l.DisplayName()))
		case l.container != nil:
			in.checkLoginContainer(l)
		case in.options.Login.Image == "":
			in.fail(field.Forbidden(l.Source, "the injector's configuration names no image for logins (login.image)"))
		default:
			l.container = &container{
				name: l.containerName, list: initContainers,
				security: security{runAsUser: l.access.user, runAsGroup: l.access.group},
			}
			l.added = in.loginContainer(l)
		}
	}
	in.logins = slices.DeleteFunc(in.logins, func(l *login) bool { return len(l.readers) == 0 && l.container == nil })
}

// loginContainer is the container that does a login, without the mount of its
// token.
func (in *injection) loginContainer(l *login) *corev1.Container {
	settings := in.options.Login
	c := &corev1.Container{
		Name:            l.container.name,
		Image:           settings.Image,
		ImagePullPolicy: settings.ImagePullPolicy,
		Env:             append(in.loginEnv(l), in.furtherEnv(l)...),
		Resources:       settings.Resources,
		SecurityContext: in.loginSecurity(l),
		VolumeMounts:    []corev1.VolumeMount{{Name: l.volumeName, MountPath: l.MountPath}},
	}
	if l.CA != nil {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: l.caVolume(), MountPath: contract.CADir, ReadOnly: true})
	}
	if l.Mode == contract.ModeSidecar {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
		c.StartupProbe = startupProbe()
	}
	return c
}

// startupProbe holds back the containers that follow until the login is done.
// The program itself waits for that, so that a relying party which is away costs
// neither a process a second nor an event a second. It never gives up, within a
// person's patience: that would restart the container, and nothing else.
func startupProbe() *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{
			Exec: &corev1.ExecAction{Command: []string{contract.Program, contract.ReadyCommand, contract.ReadyWait}},
		},
		TimeoutSeconds:   contract.ReadyTimeoutSeconds,
		PeriodSeconds:    1,
		FailureThreshold: 86400,
	}
}

// loginSecurity passes the Pod Security Standard "restricted" wherever the pod
// does. The user and the group are set where the container would not inherit
// them, and left to the image where nothing is known of the pod's.
func (in *injection) loginSecurity(l *login) *corev1.SecurityContext {
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
		if !equal(user, in.pod.security.runAsUser) {
			s.RunAsUser = user
		}
	}
	if !equal(l.access.group, in.pod.security.runAsGroup) {
		s.RunAsGroup = l.access.group
	}
	return s
}

// loginEnv are the variables that tell the login program what to do. Empty ones
// are left out.
func (in *injection) loginEnv(l *login) []corev1.EnvVar {
	env := make([]corev1.EnvVar, 0, 16)
	set := func(o contract.Option, value string) {
		if value != "" {
			env = append(env, corev1.EnvVar{Name: o.Env(), Value: literal(value)})
		}
	}
	set(contract.Method, l.Method)
	set(contract.Mode, l.Mode)
	set(contract.JWTFile, l.token.Path(in.pod.OS))
	set(contract.Address, l.Address)
	set(contract.Issuer, l.Issuer)
	set(contract.Role, l.Role)
	set(contract.Mount, l.Mount)
	set(contract.Namespace, l.Namespace)
	set(contract.ClientID, l.ClientID)
	set(contract.Scope, l.Scope)
	set(contract.Resource, l.Resource)
	set(contract.TargetAudience, l.TargetAudience)
	set(contract.OutputFile, l.Path())
	set(contract.OutputFormat, l.Format)
	set(contract.OutputMode, fmt.Sprintf("%04o", l.access.mode))
	switch {
	case l.CA != nil:
		set(contract.CAFile, contract.CADir+"/"+contract.CAFileName)
	case in.options.Login.CABundle != "":
		set(contract.CABundle, in.options.Login.CABundle)
	default:
		return env
	}
	set(contract.CAOutputFile, l.CAPath())
	return env
}

// furtherEnv are the variables of the configuration. A pod's containers share its
// address, so that only the first of its logins can listen.
func (in *injection) furtherEnv(l *login) []corev1.EnvVar {
	env := in.options.Login.Env
	first := slices.IndexFunc(in.logins, func(l *login) bool { return len(l.readers) > 0 })
	if l == in.logins[first] {
		return env
	}
	return slices.DeleteFunc(slices.Clone(env), func(e corev1.EnvVar) bool { return e.Name == contract.ListenAddress.Env() })
}

// placeLogins makes sure that the pod has the volumes of the logins.
func (in *injection) placeLogins() {
	for _, l := range in.logins {
		in.placeVolume(l, resultVolume(l.volumeName), func(p *projection) bool { return p.memory })
		if l.CA != nil {
			in.placeVolume(l, caVolume(l.caVolume(), l.CA), func(p *projection) bool { return p.ca != nil && *p.ca == *l.CA })
		}
	}
}

// placeVolume adds a volume of a login, unless the pod has it already.
func (in *injection) placeVolume(l *login, volume corev1.Volume, same func(*projection) bool) {
	p := in.existing.get(volume.Name)
	switch {
	case p == nil:
		in.patch.pointer("spec", "volumes").appendTo(&in.volumes, volume, []corev1.Volume{volume})
	case !same(p):
		in.fail(field.Invalid(p.field().Child("name"), p.name, fmt.Sprintf(
			"this name belongs to a volume of the login that annotation %s asks for, but the pod has another volume of this name: rename it",
			l.Annotation(annotations.LoginMethod))))
	}
}

// resultVolume is in memory, so that no token is ever on a disk.
func resultVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: resultSize()},
	}}
}

func caVolume(name string, ca *annotations.CASource) corev1.Volume {
	v := corev1.Volume{Name: name}
	items := []corev1.KeyToPath{{Key: ca.Key, Path: contract.CAFileName}}
	if ca.Secret {
		v.Secret = &corev1.SecretVolumeSource{SecretName: ca.Name, Items: items}
		return v
	}
	v.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: ca.Name}, Items: items}
	return v
}

// insertLogins adds the new containers before all others, so that later init
// containers find the results. It comes last: it moves the others' indices.
func (in *injection) insertLogins() {
	added := make([]*corev1.Container, 0, len(in.logins))
	for _, l := range in.logins {
		if l.added != nil {
			added = append(added, l.added)
		}
	}
	in.patch.insert(in.pod.hasInitContainers, initContainers, added)
}
