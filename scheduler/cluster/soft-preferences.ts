import { asArray, asObject } from '../../lib/json/json-access.ts';

/**
 * Whether a pod spec states wishes that kube-scheduler's scores weigh: preferred node, pod or anti-affinity, or a spreading of its own
 * with whenUnsatisfiable ScheduleAnyway. What must hold (required..., DoNotSchedule) is settled before anything is scored.
 */
export function hasSoftPreferences(spec: unknown): boolean {
  const pod = asObject(spec);
  const affinity = asObject(pod?.['affinity']);
  const preferred = ['nodeAffinity', 'podAffinity', 'podAntiAffinity'].some(
    (kind) => asArray(asObject(affinity?.[kind])?.['preferredDuringSchedulingIgnoredDuringExecution']).length > 0,
  );
  return (
    preferred ||
    asArray(pod?.['topologySpreadConstraints']).some(
      (constraint) => asObject(constraint)?.['whenUnsatisfiable'] === 'ScheduleAnyway',
    )
  );
}
