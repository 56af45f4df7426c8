import { join } from 'node:path';
import { parse } from 'yaml';
import { explainText } from '../../cli/explain-text.ts';
import { wrap } from '../../lab/demo/index.ts';
import { paintFor, type OutputTarget, type TextStyle } from '../../lib/output/index.ts';
import { parseMilliQuantity } from '../../lib/quantity.ts';
import type { ExplainReply } from '../../scheduler/api/replies.ts';
import { kubeSchedulerConfig } from '../../scheduler/extender/kube-scheduler-config.ts';
import {
  beforeAfterText,
  learnedText,
  localText,
  pictureText,
  programText,
  type Local,
  type PlacedNode,
} from './story.ts';
import { NAMESPACE, ROOM, type ShopOnPlane } from './shop-on-plane.ts';

/** Confidence of an edge after nine reports. */
const SURE = 0.75;
const SHOWN_EDGES = 8;
/** Events are written a moment after the pod was bound. */
const EVENT_MS = 10_000;
const EXPLAINED = 'frontend';

export interface Stdout extends OutputTarget {
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function styleOf(stdout: Stdout): TextStyle {
  return {
    width: Math.min(stdout.columns ?? 80, 80),
    wide: false,
    paint: paintFor(stdout.isTty, stdout.environment),
  };
}

export function introductionText(style: TextStyle): string {
  return [
    style.paint('heading', 'Netloom in front of a real kube-scheduler'),
    '',
    wrap(
      'Real here: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, built from their sources; Netloom; ' +
        'and every word that they exchange. Written by this show, since no machine and no container takes part: the ' +
        'nodes, that pods run on them (there is no kubelet), and the traffic. It is a known matrix, and is reported to ' +
        "Netloom through its agents' real stream, as agents of these nodes would measure it.",
      80,
    ),
    '',
    '',
  ].join('\n');
}

/** The whole show. Ends early where `interrupted` rejects, by whoever races with it. */
export async function show(shop: ShopOnPlane, stdout: Stdout): Promise<void> {
  const style = styleOf(stdout);
  const { boutique, netloom } = shop;
  const heading = (text: string): void => void stdout.write(`\n${style.paint('heading', text)}\n\n`);
  const say = (text: string): void => void stdout.write(`${wrap(text, 80)}\n\n`);
  const nodes = [...shop.watch.state.nodes()].length;

  heading('1. A shop, placed by kube-scheduler alone');
  say(
    `Kubernetes ${shop.version}, ${nodes} nodes in 3 zones, each with room for ${ROOM * 100} % of what the shop ` +
      `requests: it must be spread. The shop is Google's Online Boutique, ${boutique.workloads.length} Deployments, ` +
      'all applied at once. kube-scheduler looks for room and spreads; it cannot know who talks to whom.',
  );
  await shop.schedule();
  await shop.apply();
  const before = localOf(shop);
  stdout.write(`${pictureText(placedOf(shop), style)}\n`);
  stdout.write(`${wrap(localText(before), 80)}\n`);

  heading('2. What Netloom learns meanwhile');
  say('Every node reports what its pods moved, once a second. After a few reports Netloom knows the shop:');
  const learned = await shop.learned(SURE);
  const rates = new Map(
    learned.map(({ client, server, short }) => [`${client.name}>${server.name}`, short.out + short.in]),
  );
  stdout.write(
    learnedText(
      boutique.edges.map(({ client, server, bytesOut, bytesIn }) => ({
        client,
        server,
        reported: bytesOut + bytesIn,
        learned: rates.get(`${client}>${server}`),
      })),
      SHOWN_EDGES,
      style,
    ),
  );

  heading('3. What is added to kube-scheduler');
  say('This, and nothing else, into its KubeSchedulerConfiguration (netloom scheduler --print-kube-scheduler-config):');
  const config = kubeSchedulerConfig({
    address: `127.0.0.1:${netloom.extenderPort}`,
    tls: false,
    clientCertificate: false,
    scoreRange: 80,
  });
  stdout.write(programText(config.slice(config.indexOf('extenders:'))));

  heading('4. The same shop, placed by kube-scheduler with Netloom');
  say('The shop is deleted, kube-scheduler is started again with that entry, and the same is applied again.');
  await shop.delete();
  await shop.schedule((parse(config) as { extenders: object[] }).extenders);
  await shop.apply();
  const after = localOf(shop);
  stdout.write(`${pictureText(placedOf(shop), style)}\n`);
  const all = boutique.edges.reduce((sum, { bytesOut, bytesIn }) => sum + bytesOut + bytesIn, 0);
  stdout.write(beforeAfterText(before, after, all, style));

  heading('5. Why is it there?');
  const { pod } = shop.pods().find(({ workload }) => workload === EXPLAINED)!;
  say(
    'Netloom keeps what it answered (the last line), and shows it with what one more pod of the kind would get now; the ' +
      'pod itself carries an Event.',
  );
  stdout.write(`  $ netloom explain pod ${NAMESPACE}/${pod}\n\n`);
  const explanation = await netloom.get<ExplainReply>('/v1/explain', { pod: `${NAMESPACE}/${pod}` });
  stdout.write(explainText(explanation, style));
  const event = await eventOf(shop);
  if (event !== undefined) {
    stdout.write(`\n  $ kubectl describe pod -n ${NAMESPACE} ${event.pod}\n  ...\n${programText(event.text)}`);
  }
  stdout.write('\n');
}

export function keptText(shop: ShopOnPlane, folder: string): string {
  const api = `--api 127.0.0.1:${shop.netloom.apiPort}`;
  const [first] = shop.pods();
  return [
    'It is left running as long as this program is. In another terminal:',
    `  export KUBECONFIG=${join(folder, 'kubeconfig')} PATH="$PATH:${folder}"`,
    `  export KUBECACHEDIR=${join(folder, 'kubectl-cache')}`,
    `  kubectl get pods -n ${NAMESPACE} -o wide`,
    `  kubectl delete pod -n ${NAMESPACE} ${first?.pod ?? 'POD'}      # where does it come back?`,
    `  kubectl get events -n ${NAMESPACE} --field-selector reason=NetworkAwarePlacement`,
    `  bin/netloom graph ${api}`,
    `  bin/netloom explain ${NAMESPACE}/deployment/${EXPLAINED} ${api}`,
    'Ctrl-C here ends it and removes everything.',
    '',
  ].join('\n');
}

function localOf({ boutique, watch: { state } }: ShopOnPlane): Local {
  return {
    node: boutique.localShare(state, NAMESPACE, (node) => node),
    zone: boutique.localShare(state, NAMESPACE, (node) => state.node(node)?.zone),
  };
}

function placedOf(shop: ShopOnPlane): PlacedNode[] {
  const cpu = new Map(shop.boutique.workloads.map(({ name, cpu: text }) => [name, parseMilliQuantity(text) ?? 0]));
  const pods = shop.pods();
  return [...shop.watch.state.nodes()].map(({ name, zone, allocatable }) => {
    const workloads = pods.filter(({ node }) => node === name).map(({ workload }) => workload);
    const used = workloads.reduce((sum, workload) => sum + cpu.get(workload)!, 0);
    return { name, zone: zone ?? '-', full: used / allocatable.milliCpu, workloads };
  });
}

/** The last lines of `kubectl describe pod` of a pod of which an Event tells what Netloom did for it. */
async function eventOf(shop: ShopOnPlane): Promise<{ pod: string; text: string } | undefined> {
  for (let waitedMs = 0; waitedMs < EVENT_MS; waitedMs += 500) {
    for (const { pod } of [...shop.pods()].sort(
      (a, b) => Number(b.workload === EXPLAINED) - Number(a.workload === EXPLAINED),
    )) {
      const text = await shop.plane.kubectl('describe', 'pod', '-n', NAMESPACE, pod);
      if (text.includes('NetworkAwarePlacement')) return { pod, text: text.slice(text.indexOf('Events:')) };
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return undefined;
}
