package check

import (
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/flagcheck"
)

// Options are the flags of the check.
type Options struct {
	Namespace        string
	AnnotationPrefix string
	Audience         string
	PodLabels        map[string]string
	Image            string
	Kubeconfig       string
	Timeout          time.Duration
}

// AddFlags defines the flags, with their defaults.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVarP(&o.Namespace, "namespace", "n", metav1.NamespaceDefault,
		"Namespace of the pod. The webhook has to serve it.")
	fs.StringVar(&o.AnnotationPrefix, "annotation-prefix", annotations.DefaultPrefix, "Prefix of the annotations, before the slash.")
	fs.StringVar(&o.Audience, "audience", DefaultAudience, "Audience to ask for. The webhook's policy has to allow it.")
	fs.StringToStringVar(&o.PodLabels, "pod-labels", nil, "Labels of the pod, as NAME=VALUE, comma separated, for the objectSelector "+
		"that the webhook may have.")
	fs.StringVar(&o.Image, "image", "app", "Image of the pod, which is never pulled, for other webhooks that look at it.")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "Kubeconfig to reach the API server by. "+
		"Without it, the pod's own ServiceAccount is used.")
	fs.DurationVar(&o.Timeout, "timeout", 10*time.Second, "How long to try again before it fails.")
}

func (o *Options) probe() Probe {
	return Probe{Namespace: o.Namespace, Audience: o.Audience, Labels: o.PodLabels, Image: o.Image}
}

// Validate reports everything that is wrong with the flags.
func (o *Options) Validate() error {
	return flagcheck.Errors(
		flagcheck.Check{
			OK: len(validation.IsDNS1123Label(o.Namespace)) == 0, Flag: "namespace", Value: o.Namespace,
			Allowed: "the name of a namespace",
		},
		flagcheck.Check{
			OK:   len(validation.IsDNS1123Subdomain(o.AnnotationPrefix)) == 0,
			Flag: "annotation-prefix", Value: o.AnnotationPrefix, Allowed: "a DNS name, such as " + annotations.DefaultPrefix,
		},
		flagcheck.Check{OK: o.Audience != "", Flag: "audience", Value: o.Audience, Allowed: "the name of a relying party"},
		flagcheck.Check{OK: o.Timeout > 0, Flag: "timeout", Value: o.Timeout.String(), Allowed: "more than zero"},
	)
}
