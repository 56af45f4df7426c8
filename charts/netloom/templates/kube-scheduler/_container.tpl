{{- define "netloom.kubeSchedulerContainer" -}}
{{- $image := .Values.kubeScheduler.image -}}
- name: kube-scheduler
  image: {{ $image.repository }}:{{ default (regexFind "^v[0-9]+[.][0-9]+[.][0-9]+" .Capabilities.KubeVersion.Version) $image.tag }}
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
