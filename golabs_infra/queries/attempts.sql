-- Makes many attempts in one round trip, inside of a transaction whose search path is pg_catalog alone. They come as a
-- JSON array of [statement, object, whether it asks for a boolean]; each is taken back as soon as it has been made.
-- Gives a JSON array of texts, each an SQLSTATE and what the server said. It is shorter than the first one where an
-- attempt was cancelled, with which it ends: the time for a statement is over then, and nothing would end the next one.
SELECT pg_catalog.set_config('golabs.attempts', {}, true);
DO $golabs$
DECLARE
    golabs_attempt jsonb;
    golabs_answer boolean;
    golabs_said text;
    golabs_outcome text;
    golabs_outcomes text[] := ARRAY[]::text[];
    golabs_locked text[] := ARRAY[]::text[];
BEGIN
    FOR golabs_attempt IN
        SELECT pg_catalog.jsonb_array_elements(pg_catalog.current_setting('golabs.attempts')::jsonb)
    LOOP
        -- Stays so only where something raises our own SQLSTATE before we do.
        golabs_outcome := 'XX000 the attempt came to no end';
        IF NOT (golabs_attempt ->> 2)::boolean AND golabs_attempt ->> 1 = ANY (golabs_locked) THEN
            golabs_outcome := '55P03 not tried, as it was locked a moment before';
        ELSE
            BEGIN
                IF (golabs_attempt ->> 2)::boolean THEN
                    EXECUTE golabs_attempt ->> 0 INTO golabs_answer;
                    golabs_outcome := CASE golabs_answer WHEN true THEN '00000' WHEN false THEN '42501' ELSE '02000' END;
                ELSE
                    EXECUTE golabs_attempt ->> 0;
                    golabs_outcome := '00000';
                END IF;
                RAISE SQLSTATE 'GLBCK';
            EXCEPTION
                WHEN SQLSTATE 'GLBCK' THEN
                    NULL;
                WHEN query_canceled OR assert_failure OR OTHERS THEN
                    GET STACKED DIAGNOSTICS golabs_said = MESSAGE_TEXT;
                    golabs_outcome := SQLSTATE || ' ' || golabs_said;
                    IF SQLSTATE = '55P03' THEN
                        golabs_locked := pg_catalog.array_append(golabs_locked, golabs_attempt ->> 1);
                    END IF;
            END;
        END IF;
        golabs_outcomes := pg_catalog.array_append(golabs_outcomes, golabs_outcome);
        EXIT WHEN pg_catalog.left(golabs_outcome, 5) = '57014';
    END LOOP;
    PERFORM pg_catalog.set_config('golabs.outcomes', pg_catalog.to_jsonb(golabs_outcomes)::text, true);
END
$golabs$;
SELECT pg_catalog.current_setting('golabs.outcomes')
