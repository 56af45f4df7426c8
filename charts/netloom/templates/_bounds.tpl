{{/* What a quantity comes to: milliseconds of a duration, bytes, bit/s, or the number itself. Argument: the value. */}}
{{- define "netloom.amount" -}}
{{- if kindIs "string" . -}}
{{- $units := dict "" 1 "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[A-Za-z]*" . -1 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $sum = addf $sum (mulf (float64 $number) (get $units (trimPrefix $number .))) -}}
{{- end -}}
{{- $sum -}}
{{- else -}}
{{- float64 . -}}
{{- end -}}
{{- end -}}

{{/*
The bounds of the program's options (docs/configuration.md), where a JSON schema cannot state them: of durations, sizes
and rates, and of fractions, which --set passes as text. A test compares them with the program's own.
*/}}
{{- define "netloom.checkOptions" -}}
{{- $share := dict "least" "0" "most" "1" -}}
{{- $replicas := dict "least" "0.01" "most" "1" -}}
{{- $scheduler := dict
  "peerWait" (dict "least" "0" "most" "80ms")
  "clientGrace" (dict "least" "0" "most" "1h")
  "bodyLimit" (dict "least" "64Ki" "most" "500Mi" "whole" true)
  "floor" (dict "whole" true)
  "replicaCap" $replicas
  "zoneReplicaCap" $replicas
  "lookAhead" $share
  "minGain" $share
  "headroomPenalty" $share
  "linkMbps" (dict "least" "1" "most" "100000000")
  "maxLinkUse" (dict "least" "0.1" "most" "10")
-}}
{{- $agent := dict
  "interval" (dict "least" "100ms" "most" "5m")
  "uplinkSpeed" (dict "least" "1k" "whole" true)
-}}
{{- range $room, $bounds := dict "scheduler" $scheduler "agent" $agent -}}
{{- $config := (get $.Values $room).config -}}
{{- range $option, $bound := $bounds -}}
{{- if hasKey $config $option -}}
{{- include "netloom.checkOption" (dict "name" (printf "%s.config.%s" $room $option) "value" (get $config $option) "bound" $bound) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $weights := merge (dict) (default (dict) .Values.scheduler.config.levelWeights) (dict "node" "1" "zone" "0.3" "region" "0.1") -}}
{{- range $level, $weight := $weights -}}
{{- include "netloom.checkOption" (dict "name" (printf "scheduler.config.levelWeights.%s" $level) "value" $weight "bound" $share) -}}
{{- end -}}
{{- $node := include "netloom.amount" $weights.node | float64 -}}
{{- $zone := include "netloom.amount" $weights.zone | float64 -}}
{{- $region := include "netloom.amount" $weights.region | float64 -}}
{{- if or (eq $node 0.0) (lt $node $zone) (lt $zone $region) -}}
{{- fail (printf "scheduler.config.levelWeights: node %v, zone %v, region %v: node must be above 0, and none above the one before it" $node $zone $region) -}}
{{- end -}}
{{- end -}}

{{/* Argument: dict of name, value and bound. */}}
{{- define "netloom.checkOption" -}}
{{- $amount := include "netloom.amount" .value | float64 -}}
{{- $found := printf "%s is %v" .name .value -}}
{{- with .bound -}}
{{- if and .least (lt $amount (include "netloom.amount" .least | float64)) -}}
{{- fail (printf "%s: at least %s" $found .least) -}}
{{- end -}}
{{- if and .most (gt $amount (include "netloom.amount" .most | float64)) -}}
{{- fail (printf "%s: at most %s" $found .most) -}}
{{- end -}}
{{- if and .whole (ne $amount (floor $amount)) -}}
{{- fail (printf "%s: no whole number of bytes or bits" $found) -}}
{{- end -}}
{{- end -}}
{{- end -}}
