package check

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
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
	fs.StringVar(&o.Namespace, "namespace", metav1.NamespaceDefault, "Namespace of the pod. The webhook has to serve it.")
	fs.StringVar(&o.AnnotationPrefix, "annotation-prefix", annotations.DefaultPrefix, "Prefix of the annotations, before the slash.")
	fs.StringVar(&o.Audience, "audience", "oidc-injector-check", "Audience to ask for. The webhook's policy has to allow it.")
	fs.StringToStringVar(&o.PodLabels, "pod-labels", nil, "Labels of the pod, as NAME=VALUE, comma separated, for the objectSelector that the webhook may have.")
	fs.StringVar(&o.Image, "image", "app", "Image of the pod, which is never pulled, for other webhooks that look at it.")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "Kubeconfig to reach the API server by. Without it, the pod's own ServiceAccount is used.")
	fs.DurationVar(&o.Timeout, "timeout", 10*time.Second, "How long to try again before it fails.")
}

// Validate reports everything that is wrong with the flags.
func (o *Options) Validate() error {
	var errs []error
	for _, c := range []struct {
		ok                   bool
		flag, value, allowed string
	}{
		{len(validation.IsDNS1123Label(o.Namespace)) == 0, "namespace", o.Namespace, "the name of a namespace"},
		{
			len(validation.IsDNS1123Subdomain(o.AnnotationPrefix)) == 0, "annotation-prefix",
			o.AnnotationPrefix, "a DNS name, such as " + annotations.DefaultPrefix,
		},
		{o.Audience != "", "audience", o.Audience, "the name of a relying party"},
		{o.Timeout > 0, "timeout", o.Timeout.String(), "more than zero"},
	} {
		if !c.ok {
			errs = append(errs, fmt.Errorf("--%s: invalid value %q: must be %s", c.flag, c.value, c.allowed))
		}
	}
	return errors.Join(errs...)
}
