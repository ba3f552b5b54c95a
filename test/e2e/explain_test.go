package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/test/injector"
)

// explanation is the output of explain -o json.
type explanation struct {
	Steps []step `json:"steps"`
	Fix   string `json:"fix"`
}

type step struct {
	Name, Status, Detail string
	Steps                []step
}

// crosses are the names of the steps that fail.
func crosses(steps []step) string {
	var names []string
	for _, s := range steps {
		if len(s.Steps) > 0 {
			if more := crosses(s.Steps); more != "" {
				names = append(names, more)
			}
		} else if s.Status == "fail" {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

// detail is what a step of a name says.
func detail(steps []step, name string) string {
	for _, s := range steps {
		if s.Name == name {
			return s.Detail
		}
		if found := detail(s.Steps, name); found != "" {
			return found
		}
	}
	return ""
}

// plugin runs the plugin with a kubeconfig, and explain has it explain a pod.
type plugin struct{ program, kubeconfig, config string }

func newPlugin(t *testing.T) plugin {
	t.Helper()
	program, err := injector.Build(t.Context(), "kubectl-oidc_injector", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return plugin{program, kube.Kubeconfig(), file}
}

func (p plugin) run(t *testing.T, input string, args ...string) (out string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), p.program, append(args, "--kubeconfig="+p.kubeconfig, "--config="+p.config)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return stdout.String(), 1
	}
	if err != nil {
		t.Fatalf("%v: %s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), 0
}

func (p plugin) explain(t *testing.T, ns, input string, args ...string) explanation {
	t.Helper()
	out, code := p.run(t, input, append([]string{"explain", "--namespace=" + ns, "--output=json"}, args...)...)
	var e explanation
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatal(err)
	}
	if found := crosses(e.Steps); (code == 1) != (found != "") || (e.Fix != "") != (found != "") {
		t.Errorf("exit code %d, crosses %q, fix %q", code, found, e.Fix)
	}
	return e
}

// shell runs a command as the plugin writes it. Where it has an editor begin, that is edit.
func (p plugin) shell(t *testing.T, command, edit string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-ec", command)
	cmd.Env = append(os.Environ(), "EDITOR="+edit, "KUBECONFIG="+p.kubeconfig, "KUBERC=off", "KUBECACHEDIR="+t.TempDir(),
		"PATH="+filepath.Dir(kube.KubectlPath())+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// TestExplain has pods explained that were injected, and that were not for several causes.
// Where the command is whole it is run, and the pod is injected then.
func TestExplain(t *testing.T) {
	p := newPlugin(t)
	expect := func(t *testing.T, e explanation, want, fix string) {
		t.Helper()
		if got := crosses(e.Steps); got != want {
			t.Errorf("crosses %q, want %q", got, want)
		}
		if e.Fix != fix {
			t.Errorf("fix %q, want %q", e.Fix, fix)
		}
	}
	const again = "kubectl get pod app --namespace NS --output yaml | kubectl replace --force -f -"
	replace := func(ns string) string { return strings.ReplaceAll(again, "NS", ns) }

	t.Run("injected", func(t *testing.T) {
		ns := namespace(t, "explain-injected")
		create(t, ns, newPod("app", "audience=vault"))
		expect(t, p.explain(t, ns, "", "app"), "", "")
	})
	t.Run("label_missing", func(t *testing.T) {
		const ns = "explain-label"
		if err := kube.Namespace(t.Context(), ns, nil); err != nil {
			t.Fatal(err)
		}
		create(t, ns, newPod("app", "audience=vault"))
		e := p.explain(t, ns, "", "app")
		expect(t, e, "namespaceSelector, status",
			"kubectl label namespace "+ns+" --overwrite oidc-injector.io/enabled=true && "+replace(ns))
		p.shell(t, e.Fix, "")
		expect(t, p.explain(t, ns, "", "app"), "", "")
	})
	t.Run("opted_out", func(t *testing.T) {
		ns := namespace(t, "explain-opted-out")
		create(t, ns, newPod("app", "audience=vault", "inject=false"))
		e := p.explain(t, ns, "", "app")
		expect(t, e, "decision, status",
			"kubectl annotate pod/app --namespace "+ns+" --overwrite oidc-injector.io/inject- && "+replace(ns))
		p.shell(t, e.Fix, "")
		expect(t, p.explain(t, ns, "", "app"), "", "")
	})
	t.Run("file", func(t *testing.T) {
		ns := namespace(t, "explain-file")
		pod := newPod("app", "audience=forbidden-x")
		pod.APIVersion, pod.Kind = "v1", "Pod"
		text, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		const crosses = "metadata.annotations[oidc-injector.io/audience], decision"
		expect(t, p.explain(t, ns, string(text), "--filename=-"), crosses,
			"${EDITOR:-vi} FILE && kubectl apply --namespace "+ns+" --filename FILE")
		file := filepath.Join(t.TempDir(), "pod.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		e := p.explain(t, ns, "", "--filename="+file)
		expect(t, e, crosses, "${EDITOR:-vi} "+file+" && kubectl apply --namespace "+ns+" --filename "+file)
		p.shell(t, e.Fix, "sed -i s/forbidden-x/vault/")
		expect(t, p.explain(t, ns, "", "app"), "", "")
	})
	t.Run("policy", func(t *testing.T) {
		ns := namespace(t, "explain-policy")
		deploy(t, ns, newPod("app", "audience=forbidden-x"))
		eventually(t, "the webhook's denial", func(context.Context) error {
			if e := p.explain(t, ns, "", "deploy/app"); !strings.Contains(events(e.Steps), `audience "forbidden-x"`) {
				return fmt.Errorf("the events are %q", events(e.Steps))
			}
			return nil
		})
		e := p.explain(t, ns, "", "deploy/app")
		expect(t, e, "metadata.annotations[oidc-injector.io/audience], decision", "kubectl edit deployment/app --namespace "+ns)
		p.shell(t, e.Fix, "sed -i s/forbidden-x/vault/")
		p.fixed(t, ns, "deploy/app")
	})
	t.Run("conflict", func(t *testing.T) {
		ns := namespace(t, "explain-conflict")
		pod := newPod("app", "audience=vault")
		pod.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "own", MountPath: "/var/run/secrets/tokens"}}
		deploy(t, ns, pod)
		e := p.explain(t, ns, "", "deploy/app")
		expect(t, e, "spec.containers[0].volumeMounts[0].mountPath, decision", "kubectl edit deployment/app --namespace "+ns)
		p.shell(t, e.Fix, "sed -i s:/var/run/secrets/tokens:/own:")
		p.fixed(t, ns, "deploy/app")
	})
	t.Run("bundle_of_another_authority", func(t *testing.T) {
		ns := namespace(t, "explain-bundle")
		deploy(t, ns, newPod("app", "audience=vault"))
		p.fixed(t, ns, "deploy/app")
		setBundle(t, kube.CA())
		right, err := webhook.CA()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { setBundle(t, right) })
		eventually(t, "the bundle is known", func(context.Context) error {
			if e := p.explain(t, ns, "", "deploy/app"); crosses(e.Steps) != "dry run" {
				return fmt.Errorf("crosses %q", crosses(e.Steps))
			}
			return nil
		})
		e := p.explain(t, ns, "", "deploy/app")
		expect(t, e, "dry run", "kubectl patch mutatingwebhookconfiguration oidc-injector --type json "+
			`--patch '[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"CA_IN_BASE64"}]'`)
		p.shell(t, strings.ReplaceAll(e.Fix, "CA_IN_BASE64", base64.StdEncoding.EncodeToString(right)), "")
		p.fixed(t, ns, "deploy/app")
	})
	t.Run("webhook_gone", func(t *testing.T) {
		ns := namespace(t, "explain-gone")
		withoutRegistration(t, ns, func() {
			create(t, ns, newPod("app", "audience=vault"))
			expect(t, p.explain(t, ns, "", "app"), "registered, status",
				"helm install oidc-injector charts/oidc-injector --namespace oidc-injector --create-namespace")
		})
		e := p.explain(t, ns, "", "app")
		expect(t, e, "status", replace(ns))
		p.shell(t, e.Fix, "")
		expect(t, p.explain(t, ns, "", "app"), "", "")
	})
}

// deploy creates a Deployment of pods like this one.
func deploy(t *testing.T, ns string, pod *corev1.Pod) {
	t.Helper()
	labels := map[string]string{"app": pod.Name}
	pod.Labels = labels
	_, err := kube.Client().AppsV1().Deployments(ns).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// fixed waits until a workload has a pod that is injected, and nothing is wrong.
func (p plugin) fixed(t *testing.T, ns, workload string) {
	t.Helper()
	eventually(t, workload+" is fixed", func(context.Context) error {
		out, code := p.run(t, "", "explain", "--namespace="+ns, workload)
		if code != 0 || !strings.Contains(out, "✓ status: pod ") {
			return fmt.Errorf("exit code %d: %s", code, out)
		}
		return nil
	})
}

// events are what events say.
func events(steps []step) string {
	for _, s := range steps {
		if s.Name == "events" {
			return fmt.Sprint(s.Steps)
		}
	}
	return ""
}

// setBundle has API servers verify the webhook by these authorities.
func setBundle(t *testing.T, pem []byte) {
	t.Helper()
	patch := fmt.Sprintf(`[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`, base64.StdEncoding.EncodeToString(pem))
	_, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(context.WithoutCancel(t.Context()),
		"oidc-injector", types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// withoutRegistration does something while API servers do not know of the webhook.
func withoutRegistration(t *testing.T, ns string, do func()) {
	t.Helper()
	client := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	list, err := client.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d registrations, %v", len(list.Items), err)
	}
	old := &list.Items[0]
	if err := client.Delete(t.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	admitted := func(injected bool) {
		t.Helper()
		eventually(t, "the registration is known", func(ctx context.Context) error {
			pod, err := kube.Client().CoreV1().Pods(ns).Create(ctx, newPod("probe", "audience=vault"),
				metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil && (pod.Annotations[statusAnnotation] != "") != injected {
				err = errors.New("not yet")
			}
			return err
		})
	}
	defer admitted(true)
	defer func() {
		old.ResourceVersion, old.UID = "", ""
		if _, err := client.Create(t.Context(), old, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}()
	admitted(false)
	do()
}

// TestLint has what runs in a namespace looked at. (This API server keeps no owners: that what
// they made is left out is a test of package cli.)
func TestLint(t *testing.T) {
	p := newPlugin(t)
	ns := namespace(t, "lint")
	labels := map[string]string{"app": "web"}
	template := newPod("", "audience=vault", "audiense=x")
	template.Labels = labels
	spec := appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: template.ObjectMeta, Spec: template.Spec},
	}
	if _, err := kube.Client().AppsV1().Deployments(ns).Create(t.Context(),
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	denied := newPod("", "audience=forbidden-x")
	denied.Spec.RestartPolicy = corev1.RestartPolicyNever
	if _, err := kube.Client().BatchV1().CronJobs(ns).Create(t.Context(), &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "nightly"},
		Spec: batchv1.CronJobSpec{Schedule: "0 0 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
			Template: corev1.PodTemplateSpec{ObjectMeta: denied.ObjectMeta, Spec: denied.Spec},
		}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	create(t, ns, newPod("alone", "audience=vault", "audiense=x"))
	create(t, ns, newPod("fine", "audience=vault"))

	out, code := p.run(t, "", "lint", "--namespace="+ns)
	want := []string{
		"deployment.apps/web: unknown annotation", "cronjob.batch/nightly: ", "pod/alone: unknown annotation", "1 error, 2 warnings",
	}
	for _, line := range want {
		if !strings.Contains(out, line) {
			t.Errorf("no %q", line)
		}
	}
	if code != 1 || strings.Count(out, "[unknown-annotation]") != 2 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if out, _ := p.run(t, "", "lint", "--all-namespaces"); !strings.Contains(out, ns+": warning: pod/alone: ") {
		t.Errorf("in all namespaces: %s", out)
	}
}

// TestCheck has the installation and the API server's issuer checked, as the API server has
// it and as a relying party sees it.
func TestCheck(t *testing.T) {
	p := newPlugin(t)
	ns := namespace(t, "check")
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, kube.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := p.run(t, "", "check", "--namespace="+ns)
	for _, want := range []string{
		"✓ dry run: a pod in namespace " + ns + ` gets a token for audience "oidc-injector-check"`, "✓ counted: 2 profiles, ",
		"✓ documents: issuer ", "✓ keys: ", "✓ clock: ", "✓ issued: ",
		"! longest lifetime: the API server shortens tokens to 12h, and maxExpiration allows pods to ask for 48h",
		"! anonymous access: off",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	out, code = p.run(t, "", "check", "--namespace="+ns, "--from-outside="+kube.Issuer(), "--ca-file="+ca)
	if want := "answers 403 Forbidden: an API server lets nobody read it"; code != 1 || !strings.Contains(out, want) {
		t.Errorf("from outside: exit code %d, no %q: %s", code, want, out)
	}
	withoutRegistration(t, ns, func() {
		if out, code := p.run(t, "", "check", "--namespace="+ns); code != 1 || !strings.Contains(out, "✗ registered: ") {
			t.Errorf("not registered: exit code %d: %s", code, out)
		}
	})
}
