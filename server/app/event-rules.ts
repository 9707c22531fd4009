import type { Events } from '../events/create-events.ts';
import type { StoredEvent } from '../events/event.ts';
import type { Notifications } from '../notifications/notifications-api.ts';
import { readGenres } from '../ranking/nearline/play-event.ts';
import type { Ranking } from '../ranking/ranking.ts';

/**
 * What events trigger. Rules run at least once per event: ids of what they publish are derived from the event, so a
 * repetition changes nothing.
 */
export function registerEventRules(
  events: Pick<Events, 'onEvent'>,
  ranking: Pick<Ranking, 'onPlayEvent'>,
  notifications: Pick<Notifications, 'publish'>,
): void {
  events.onEvent({
    name: 'rerank-nearline',
    kinds: ['play.stopped', 'title.rated'],
    // The member's next page must know what the member just did.
    inline: true,
    handle: async (event) => {
      if (event.profile === '' || event.subject === '') return;
      await ranking.onPlayEvent(toPlayEvent(event));
      await notifications.publish({
        notificationId: `rows-${event.eventId}`,
        profile: event.profile,
        kind: 'rows.refreshed',
        subject: event.subject,
        collapseKey: 'rows',
      });
    },
  });
  events.onEvent({
    name: 'tell-title-available',
    kinds: ['title.available'],
    handle: async (event) => {
      if (event.profile === '') return;
      await notifications.publish({
        notificationId: `available-${event.eventId}`,
        profile: event.profile,
        kind: 'title.available',
        subject: event.subject,
        payload: event.data,
        priority: 'high',
      });
    },
  });
}

/** INVALID_FIELDS names `data.genres` when they are not a list of names. */
function toPlayEvent({ eventId, profile, subject, occurredMs, data }: StoredEvent) {
  const { stars, fraction, genres } = data;
  return {
    id: eventId,
    profile,
    title: subject,
    timeMs: occurredMs,
    ...(typeof stars === 'number' ? { rating: stars } : {}),
    ...(typeof fraction === 'number' ? { watchedFraction: fraction } : {}),
    ...(genres === undefined ? {} : { genres: readGenres(genres) }),
  };
}
