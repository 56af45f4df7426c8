{{- define "netloom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 36 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "netloom.scheduler" -}}{{ include "netloom.fullname" . }}-scheduler{{- end -}}
{{- define "netloom.agent" -}}{{ include "netloom.fullname" . }}-agent{{- end -}}

{{/* Of what belongs to no namespace, or to one that is not ours: releases of the same name may stand side by side. */}}
{{- define "netloom.clusterName" -}}{{ .Release.Namespace }}-{{ include "netloom.scheduler" . }}{{- end -}}

{{/* A pod has one ServiceAccount: with a second kube-scheduler beside it, one that says whose rights it has. */}}
{{- define "netloom.schedulerAccount" -}}
{{- if .Values.kubeScheduler.enabled -}}
{{ include "netloom.fullname" . }}-kube-scheduler
{{- else -}}
{{ include "netloom.scheduler" . }}
{{- end -}}
{{- end -}}

{{/* Of the pods of one component; never changes. Argument: list of the root and the component. */}}
{{- define "netloom.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "netloom.labels" -}}
{{- $root := index . 0 -}}
{{ include "netloom.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: netloom
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "netloom.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "netloom.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Whether anything takes reports over the network at all. */}}
{{- define "netloom.takesReports" -}}
{{- if or .Values.reports.insecure .Values.reports.tls.schedulerSecret -}}true{{- end -}}
{{- end -}}

{{/* Not given is the program's default. */}}
{{- define "netloom.tellsEvents" -}}
{{- if ne (dig "eventsUpToNodes" 1 .Values.scheduler.config | int) 0 -}}true{{- end -}}
{{- end -}}

{{/* A host of a URL. */}}
{{- define "netloom.urlHost" -}}
{{- if contains ":" . -}}[{{ . }}]{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{- define "netloom.agentsAddress" -}}
{{ include "netloom.scheduler" . }}.{{ .Release.Namespace }}.svc:{{ .Values.scheduler.service.agentsPort }}
{{- end -}}

{{/*
The entry of KubeSchedulerConfiguration, as `netloom scheduler --print-kube-scheduler-config` prints it.
Argument: dict of the root and the HOST:PORT at which kube-scheduler reaches us.
*/}}
{{- define "netloom.extenderEntry" -}}
{{- $tls := .root.Values.extender.tls -}}
- urlPrefix: {{ ternary "https" "http" (ne $tls.secret "") }}://{{ .address }}
  {{- if .root.Values.scheduler.config.maxLinkUse }}
  filterVerb: filter
  {{- end }}
  prioritizeVerb: prioritize
  weight: {{ div 80 (int (default 80 .root.Values.scheduler.config.scoreRange)) }}
  nodeCacheCapable: true
  ignorable: true
  httpTimeout: 100ms
{{- if $tls.secret }}
  enableHTTPS: true
  tlsConfig:
    caFile: /etc/kubernetes/netloom/ca.crt
    {{- if $tls.requireClientCertificate }}
    certFile: /etc/kubernetes/netloom/tls.crt
    keyFile: /etc/kubernetes/netloom/tls.key
    {{- end }}
{{- end }}
{{- end -}}

{{/* What the schema cannot say, or not in words. */}}
{{- define "netloom.check" -}}
{{- include "netloom.checkOptions" . -}}
{{- if not (regexMatch "^[a-z]" (include "netloom.fullname" .)) -}}
{{- fail (printf "objects would be named %s-...: names of Services begin with a letter; set fullnameOverride" (include "netloom.fullname" .)) -}}
{{- end -}}
{{- range $component := list "scheduler" "agent" -}}
{{- $values := get $.Values $component -}}
{{- range $key, $_ := include "netloom.labels" (list $ $component) | fromYaml -}}
{{- if hasKey $values.podLabels $key -}}
{{- fail (printf "%s.podLabels: the chart itself sets %s" $component $key) -}}
{{- end -}}
{{- end -}}
{{- range $key, $_ := $values.podAnnotations -}}
{{- if hasPrefix "checksum/" $key -}}
{{- fail (printf "%s.podAnnotations: the chart itself sets %s" $component $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.scheduler.service -}}
{{- if eq (int .extenderPort) (int .agentsPort) -}}
{{- fail (printf "scheduler.service.extenderPort and agentsPort are both %d: two ports of one Service" (int .agentsPort)) -}}
{{- end -}}
{{- end -}}
{{- if le (include "netloom.amount" .Values.scheduler.persistence.size | float64) 0.0 -}}
{{- fail "scheduler.persistence.size must be above 0" -}}
{{- end -}}
{{- if eq .Values.kubeScheduler.schedulerName "default-scheduler" -}}
{{- fail "kubeScheduler.schedulerName: default-scheduler is the name of your cluster's own; two would place the same pods" -}}
{{- end -}}
{{- with .Values.agent.pins -}}
{{- if and .enabled (not (contains "bpf" (.hostPath | dir | base))) -}}
{{- fail (printf "agent.pins.hostPath is %s: agents would see all of %s. Name a folder of our own right below the host's bpffs, such as /sys/fs/bpf/netloom (another bpffs has \"bpf\" in its name)" .hostPath (dir .hostPath)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.reports -}}
{{- if and .insecure (or .tls.schedulerSecret .tls.agentSecret) -}}
{{- fail "reports.insecure contradicts reports.tls: choose plain text or TLS" -}}
{{- end -}}
{{- if $.Values.agent.enabled -}}
{{- if not (or .insecure .tls.schedulerSecret .tls.agentSecret) -}}
{{- fail "choose how agents report: reports.tls.schedulerSecret and reports.tls.agentSecret, or reports.insecure=true on a network that you trust" -}}
{{- end -}}
{{- if ne (empty .tls.schedulerSecret) (empty .tls.agentSecret) -}}
{{- fail "reports.tls.schedulerSecret and reports.tls.agentSecret belong together" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.extender.tls.requireClientCertificate (not .Values.extender.tls.secret) -}}
{{- fail "extender.tls.requireClientCertificate needs extender.tls.secret" -}}
{{- end -}}
{{- if and .Values.kubeScheduler.enabled .Values.extender.tls.secret -}}
{{- fail "kubeScheduler asks on 127.0.0.1 in plain HTTP: leave out extender.tls.secret, or kubeScheduler.enabled" -}}
{{- end -}}
{{- if and (eq .Values.agent.seccomp.type "Localhost") (not .Values.agent.seccomp.localhostProfile) -}}
{{- fail "agent.seccomp.type=Localhost needs agent.seccomp.localhostProfile, a path below <kubeletFolder>/seccomp" -}}
{{- end -}}
{{- end -}}
