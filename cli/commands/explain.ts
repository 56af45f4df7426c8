import type { ExplainReply } from '../../scheduler/api/replies.ts';
import { NetloomError } from '../../lib/errors.ts';
import { printResult } from '../../lib/output/index.ts';
import { askApi } from '../api-client.ts';
import { defineCommand } from '../command.ts';
import { explainText } from '../explain-text.ts';
import { clientSection } from '../options/client.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'explain',
  summary: 'show why nodes get the scores they get for a pod',
  description: [
    'Asks a running scheduler what one more pod of a workload would get on every node, peer by peer, with the figures ' +
      'that were used; and what kube-scheduler was answered for this pod, while that is kept.',
  ],
  examples: [
    { text: 'A pod that exists.', command: 'netloom explain shop/cart-7d4b9c-x2x4z' },
    { text: 'A new pod of a workload.', command: 'netloom explain shop/deployment/cart' },
  ],
  section: clientSection,
  positionals: [
    { name: 'TARGET', help: 'NAMESPACE/POD, or NAMESPACE/KIND/NAME of a workload; or a kind.', required: true },
    { name: 'NAME', help: 'After a kind, such as `pod` or `deployment`: NAMESPACE/NAME.', required: false },
  ],
  flags: { ...outputOptions },
  async run({ options, args, stdout, environment }) {
    const reply = await askApi<ExplainReply>(options, '/v1/explain', targetQuery(args));
    await printResult(stdout, options.output, environment, { data: reply, text: (style) => explainText(reply, style) });
    return 0;
  },
});

function targetQuery(args: readonly string[]): { pod: string } | { workload: string } {
  const [first = '', second] = args;
  const ofPod = ['pod', 'pods', 'po'].includes(first.toLowerCase());
  const target = args.join(' ');
  const parts = (second ?? first).split('/');
  if (parts.every((part) => part !== '') && !first.includes('/') === (second !== undefined)) {
    const [namespace, ...rest] = parts;
    if (parts.length === 2) {
      if (second === undefined || ofPod) return { pod: parts.join('/') };
      return { workload: `${namespace}/${first}/${rest.join('/')}` };
    }
    if (parts.length === 3 && second === undefined) return { workload: target };
  }
  throw new NetloomError('USAGE', 'this names neither a pod nor a workload', {
    place: 'TARGET',
    expected: 'NAMESPACE/POD, NAMESPACE/KIND/NAME, or KIND NAMESPACE/NAME',
    found: target,
    remedy: '`netloom graph --by pod` shows names of pods.',
  });
}
