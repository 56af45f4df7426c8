import { asArray, asObject, asText, type JsonObject } from '../../lib/json/json-access.ts';
import type { PodTemplate } from './model.ts';

/** On a pod: whom it will talk to, and how much, "namespace/name=50Mi/s, ..." (peer-hints.ts). */
export const PEERS = 'netloom.io/peers';

const MAX_IMAGES = 8;
const MAX_REFERENCES = 64;
const MAX_TEXTS = 1_000;
const MAX_TEXT = 4_096;
const MAX_HINT = 4_096;

/** Names of variables and flags whose values are nobody's business, not even as a name that no Service has. */
const SECRET = /pass|secret|token|credential|private|api[-_]?key|signature/i;

/** A host behind a scheme or user if any, before a port or path if any. */
const HOST = /^([a-z][a-z0-9+.-]*:\/\/)?(?:[^\s/@]*@)?([a-z][-a-z0-9.]*)(:\d+)?(?:[/?].*)?$/;
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
/** pod.service.namespace */
const MAX_LABELS = 3;

/**
 * What a pod spec tells of whom the pod will talk to before it has: its images, and every text in env and args that could be
 * the name of a Service. undefined: nothing.
 */
export function podTemplate(
  spec: JsonObject | undefined,
  annotations: JsonObject | undefined,
): PodTemplate | undefined {
  const images: string[] = [];
  const references = new Set<string>();
  let texts = 0;
  const read = (text: unknown): void => {
    if (typeof text !== 'string' || text.length > MAX_TEXT || ++texts > MAX_TEXTS) return;
    // Within a script every word would be a name.
    const isScript = /\s/.test(text.trim());
    for (const part of text.split(/[\s,;|"'`]+/)) {
      const reference = part.length <= 300 ? referenceOf(part, isScript) : undefined;
      if (reference !== undefined && references.size < MAX_REFERENCES) references.add(reference);
    }
  };
  const containers = [...asArray(spec?.['initContainers']), ...asArray(spec?.['containers'])];
  for (const entry of containers) {
    const container = asObject(entry);
    const image = asText(container?.['image']);
    if (image !== undefined && image.length <= MAX_TEXT && images.length < MAX_IMAGES) {
      const repository = imageRepository(image);
      if (!images.includes(repository)) images.push(repository);
    }
    for (const variable of asArray(container?.['env'])) {
      const { name, value } = asObject(variable) ?? {};
      if (typeof name === 'string' && !SECRET.test(name)) read(value);
    }
    let secret = false;
    for (const word of [...asArray(container?.['command']), ...asArray(container?.['args'])]) {
      if (typeof word !== 'string') continue;
      // "--flag=value" or "--flag" "value"
      const [flag = '', ...rest] = word.startsWith('-') ? word.split('=') : [''];
      if (flag === '') {
        if (!secret) read(word);
        secret = false;
      } else {
        const isSecret = SECRET.test(flag);
        if (rest.length > 0 && !isSecret) read(rest.join('='));
        secret = rest.length === 0 && isSecret;
      }
    }
  }
  const hint = asText(annotations?.[PEERS])?.slice(0, MAX_HINT);
  if (images.length === 0 && references.size === 0 && hint === undefined) return undefined;
  return { images, references: [...references].sort(), ...(hint === undefined ? {} : { peers: hint }) };
}

/** The labels of a host name within the cluster, without "svc" and what follows; undefined: it cannot be one. */
function referenceOf(text: string, isScript: boolean): string | undefined {
  const match = HOST.exec(text);
  if (match === null) return undefined;
  const [, scheme, host = '', port] = match;
  const labels = host.replace(/\.$/, '').split('.');
  const svc = labels.indexOf('svc', 1);
  const named = svc < 0 ? labels : labels.slice(0, svc);
  if (isScript && scheme === undefined && port === undefined && svc < 0) return undefined;
  return named.length <= MAX_LABELS && named.every((label) => LABEL.test(label)) ? named.join('.') : undefined;
}

/** Without tag and digest: "registry:5000/shop/cart:v2@sha256:..." -> "registry:5000/shop/cart". */
export function imageRepository(image: string): string {
  const [named = ''] = image.split('@');
  const colon = named.lastIndexOf(':');
  return colon > named.lastIndexOf('/') ? named.slice(0, colon) : named;
}
