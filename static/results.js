// What is kept of results, alerts and names, and for how long. Pure.

const boundsKey = ({ window_start: start, window_end: end }) => `${start}/${end}`;

export const groupKey = (group) => JSON.stringify(Object.entries(group || {}));

/** What tells the results of a window apart. */
export const resultKey = (result) => `${boundsKey(result)}/${groupKey(result.group)}`;

const byEnd = (a, b) => a.window_end - b.window_end || a.window_start - b.window_start;

/** The list (oldest first, at most `most`) with a result taken in. A revision takes its
 *  predecessor's place, and a session that late events have made longer that of those it names. */
export function remember(list, result, most) {
  const key = resultKey(result);
  const old = list.find((other) => resultKey(other) === key);
  if (old && old.revision > result.revision) return list;
  const gone = new Set((result.replaces || []).map((bounds) => `${boundsKey(bounds)}/${groupKey(result.group)}`));
  gone.add(key);
  const rest = list.filter((other) => !gone.has(resultKey(other)));
  const at = rest.findLastIndex((other) => byEnd(other, result) <= 0) + 1;
  rest.splice(at, 0, result);
  return rest.slice(-most);
}

/** Of each group, its newest result. `list` is oldest first. */
export function newestOfGroups(list) {
  const groups = new Map();
  for (const result of list) groups.set(groupKey(result.group), result);
  return [...groups.values()];
}

/** Alerts that are the same rule for the same group. */
export const alertKey = ({ name, window, group }) => `${name}/${window}/${groupKey(group)}`;

/** The newest `most` alerts, oldest first; those that both the stream and a load bring count once. */
export function mergeAlerts(list, more, most) {
  const unlike = new Map([...list, ...more].map((alert) => [JSON.stringify(alert), alert]));
  return [...unlike.values()].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)).slice(-most);
}

/** Puts something into a map, behind all else; if these are too many, the one that was put longest ago goes. */
export function put(map, key, value, most) {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value);
}

/** Sees names, which strangers choose, in a map of what is kept of some: those wanted have a place, also while they are
 *  not seen, then those that have one already, then new ones in that of the longest unseen. `create()` makes what is kept. */
export function see(map, names, most, wanted, create) {
  const always = wanted.filter((name) => map.has(name) || names.includes(name));
  const chosen = new Set([...always, ...names.filter((name) => map.has(name)), ...names]);
  for (const name of [...chosen].slice(0, most)) put(map, name, map.get(name) ?? create(), most);
}

/** The value of what a bar or a column shows: `events`, or a statistic of a field. */
export const statistic = (result, field, name) =>
  (name === 'events' ? result.event_count : result.aggregates[field]?.[name]);
