import { humanCount, humanDuration, wrapText, type TextStyle } from '../lib/output/index.ts';
import type { StatusReply } from '../scheduler/api/replies.ts';

/** Whether kube-scheduler asks, and what is wrong with what the scheduler lives on: a line each, for below a table. Pure. */
export function schedulingText({ kubeScheduler, cluster }: StatusReply, nowMs: number, style: TextStyle): string {
  const { calls, lastCallMs, bound } = kubeScheduler;
  const late = bound['late'] ?? 0;
  const asked =
    lastCallMs === undefined
      ? 'kube-scheduler has had no answer yet since Netloom started.'
      : `kube-scheduler asked ${humanCount(calls)} time${calls === 1 ? '' : 's'}, ` +
        `last ${humanDuration(Math.max(0, nowMs - lastCallMs))} ago` +
        (late === 0 ? '.' : `; ${humanCount(late)} pod${late === 1 ? ' was' : 's were'} answered too late.`);
  const problems = cluster.problems.flatMap(({ what, count, sample }) => {
    const rest = sample === '' ? '' : `, such as ${sample}`;
    const lines = wrapText(`${what} (${humanCount(count)}${rest})`, style.width);
    return lines.map((line) => style.paint('warning', line));
  });
  return [style.paint('dim', asked), ...problems, ''].join('\n');
}
