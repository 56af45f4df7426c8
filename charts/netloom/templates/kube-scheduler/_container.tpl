{{- define "netloom.kubeSchedulerContainer" -}}
{{- $image := .Values.kubeScheduler.image -}}
{{- $tag := default (regexFind "^v[0-9]+[.][0-9]+[.][0-9]+" .Capabilities.KubeVersion.Version) $image.tag -}}
{{- if not $tag -}}
{{- fail (printf "kubeScheduler.image.tag is needed: the version %q of the cluster (or of --kube-version) names no patch release, such as v1.37.2" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
- name: kube-scheduler
  image: {{ $image.repository }}:{{ $tag }}
  imagePullPolicy: {{ $image.pullPolicy }}
  command:
    - kube-scheduler
    - --config=/etc/kube-scheduler/config.yaml
    - --secure-port=10259
    - --v={{ .Values.kubeScheduler.logVerbosity }}
  ports:
    - name: kube-scheduler
      containerPort: 10259
  livenessProbe:
    httpGet:
      path: /healthz
      port: kube-scheduler
      scheme: HTTPS
    initialDelaySeconds: 10
    periodSeconds: 10
    timeoutSeconds: 15
    failureThreshold: 8
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
  {{- with .Values.kubeScheduler.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: kube-scheduler
      mountPath: /etc/kube-scheduler
      readOnly: true
{{- end -}}
