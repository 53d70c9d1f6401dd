BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE api_keys (
	id VARCHAR(40) NOT NULL, 
	name TEXT NOT NULL, 
	hash BLOB NOT NULL, 
	scope VARCHAR(8) NOT NULL, 
	requests_per_minute INTEGER, 
	concurrent_requests INTEGER, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id)
);
INSERT INTO "api_keys" VALUES('key_01kqrez1fqf0pkznzpj2rk0b30','live',X'6322BA734F90E8E9E7AEE95B38215DCE6BC47218C3715CD3D37DE7D4ECF0DAC7','write',600,NULL,'2026-05-04 03:02:02.487654',NULL,NULL);
INSERT INTO "api_keys" VALUES('key_01kqrez1fqfavsfb7nzbanyh6h','revoked',X'6322BA734F90E8E9E7AEE95B38215DCE6BC47218C3715CD3D37DE7D4ECF0DAC7','admin',NULL,NULL,'2026-05-04 03:02:02.487654',NULL,'2026-05-04 03:02:02.487654');
INSERT INTO "api_keys" VALUES('key_01kqrez1fq2a0rcp6cdrv9dvmv','expired',X'6322BA734F90E8E9E7AEE95B38215DCE6BC47218C3715CD3D37DE7D4ECF0DAC7','read',NULL,NULL,'2026-05-04 03:02:02.487654','2026-05-04 03:02:02.737654',NULL);
CREATE TABLE changes (
	collection_id VARCHAR(40) NOT NULL, 
	sequence BIGINT NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	"row" BIGINT NOT NULL, 
	CONSTRAINT pk_changes PRIMARY KEY (collection_id, sequence), 
	CONSTRAINT fk_changes_collection_id FOREIGN KEY(collection_id) REFERENCES collections (id) ON DELETE CASCADE
);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',1,'add',1);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',2,'add',2);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',3,'add',3);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',4,'add',4);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',5,'add',5);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',6,'add',6);
INSERT INTO "changes" VALUES('col_01kqrez103kdag4f7gpzqnfack',1,'add',7);
INSERT INTO "changes" VALUES('col_01kqrez103kdag4f7gpzqnfack',2,'add',8);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',7,'add',9);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',8,'add',10);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',9,'add',11);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',10,'remove',9);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',11,'remove',10);
INSERT INTO "changes" VALUES('col_01kqrez103hy5erdp65s73cghw',12,'remove',11);
CREATE TABLE collections (
	id VARCHAR(40) NOT NULL, 
	name VARCHAR(63) NOT NULL, 
	model TEXT NOT NULL, 
	fingerprint VARCHAR(64), 
	dim INTEGER, 
	window_s DOUBLE NOT NULL, 
	stride_s DOUBLE NOT NULL, 
	metadata JSON NOT NULL, 
	sequence BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, calibration VARCHAR(100), recall_candidates INTEGER, 
	CONSTRAINT pk_collections PRIMARY KEY (id), 
	CONSTRAINT uq_collections_name UNIQUE (name)
);
INSERT INTO "collections" VALUES('col_01kqrez103hy5erdp65s73cghw','default','motion-tiny','f00d',4,5.0,2.5,'{"of": "default"}',12,'2026-05-04 03:02:01.987654','default-1.json',50);
INSERT INTO "collections" VALUES('col_01kqrez103kdag4f7gpzqnfack','cats','motion-tiny','f00d',4,5.0,2.5,'{"of": "cats"}',2,'2026-05-04 03:02:01.987654',NULL,NULL);
CREATE TABLE embeddings (
	"row" INTEGER NOT NULL, 
	vector BLOB NOT NULL, 
	CONSTRAINT pk_embeddings PRIMARY KEY ("row"), 
	CONSTRAINT fk_embeddings_row FOREIGN KEY("row") REFERENCES segments ("row") ON DELETE CASCADE
);
INSERT INTO "embeddings" VALUES(1,X'69F0B03E9155523F0C2FA93EDBCDA6BF');
INSERT INTO "embeddings" VALUES(2,X'67C5673F358BE43EC47509BF28C4143F');
INSERT INTO "embeddings" VALUES(3,X'3CA9BA3E8998963EC3D5E83C62F50B3F');
INSERT INTO "embeddings" VALUES(4,X'3697413ED8D205BF117DD3BE00411CC0');
INSERT INTO "embeddings" VALUES(5,X'D05CE63F0774923FD29DA6BE3018463F');
INSERT INTO "embeddings" VALUES(6,X'D8FA8F3E55C70DBFDC417A3F45019FBE');
INSERT INTO "embeddings" VALUES(7,X'6B9E0240049023C00D11D63E595911BF');
INSERT INTO "embeddings" VALUES(8,X'A6C1E7BE81C55CBE744701C0AE7F6DBE');
CREATE TABLE idempotent_answers (
	owner VARCHAR(40) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	request_digest VARCHAR(64) NOT NULL, 
	collection VARCHAR(63) NOT NULL, 
	video_id VARCHAR(40) NOT NULL, 
	job_id VARCHAR(40) NOT NULL, 
	queued BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotent_answers PRIMARY KEY (owner, "key")
);
INSERT INTO "idempotent_answers" VALUES('key_01kqrez1fqf0pkznzpj2rk0b30','once','0000000000000000000000000000000000000000000000000000000000000000','default','vid_01kqrez1fqm6agd9t5swcmbr2b','job_01kqrez1fqrdm9bw5z1vz8cfv8',1,'2026-05-04 03:02:02.487654');
CREATE TABLE jobs (
	id VARCHAR(40) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	collection VARCHAR(63) NOT NULL, 
	video_id VARCHAR(40) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	stage TEXT, 
	progress DOUBLE NOT NULL, 
	attempts INTEGER NOT NULL, 
	error_code TEXT, 
	error_message TEXT, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	searchable_at DATETIME, 
	lease_owner TEXT, 
	lease_token VARCHAR(64), 
	lease_expires_at DATETIME, revision INTEGER DEFAULT '0' NOT NULL, not_before DATETIME, seconds_done DOUBLE, seconds_total DOUBLE, 
	CONSTRAINT pk_jobs PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('job_01kqrez103ws9439vw2ck5vz2v','ingest','default','vid_01kqrez1038t9xc6pfs075ncsv','succeeded',NULL,1.0,1,NULL,NULL,'2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','worker','d92051e827fc6fbb3e15d713eebb5cac',NULL,2,NULL,12.5,12.5);
INSERT INTO "jobs" VALUES('job_01kqrez103c2fy9xa544bv7anr','ingest','default','vid_01kqrez1037y2atv3vb5yk8n78','succeeded',NULL,1.0,1,NULL,NULL,'2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','worker','e193f27e8eba86b5ccc481d10ae8e745',NULL,2,NULL,12.5,12.5);
INSERT INTO "jobs" VALUES('job_01kqrez103qbqjn3xnxzy3q731','ingest','cats','vid_01kqrez103h7m6w0ysqtm7qmvm','succeeded',NULL,1.0,1,NULL,NULL,'2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','worker','eb5ee4d723cb61735fd95c5402f72ab7',NULL,2,NULL,12.5,12.5);
INSERT INTO "jobs" VALUES('job_01kqrez103wq1hn9wa888sjfn1','ingest','default','vid_01kqrez103vgrk0v7ydfbewesr','succeeded',NULL,1.0,1,NULL,NULL,'2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','worker','2d41cbec3aa2713c063afa3a11230c98',NULL,2,NULL,12.5,12.5);
INSERT INTO "jobs" VALUES('job_01kqrez103ngrgqdvdyzedj0h0','ingest','default','vid_01kqrez10305ser2spf31z0b7b','failed',NULL,0.0,1,'unreadable_video','Damaged.','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654',NULL,'worker','5186c5d51496c85f1fff8388748f009c',NULL,2,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01kqrez1030rk06qx7h6skavjw','ingest','default','vid_01kqrez103c179askcez47p7ns','canceled',NULL,0.0,0,NULL,NULL,'2026-05-04 03:02:01.987654',NULL,'2026-05-04 03:02:01.987654',NULL,NULL,NULL,NULL,1,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01kqrez10365rdaf2jvasj8j75','ingest','default','vid_01kqrez103b73kwbq8vj01pbxs','running',NULL,0.0,1,NULL,NULL,'2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654',NULL,NULL,'worker','b738530764ee23df40c280fd9745a553','2026-05-04 03:02:31.987654',1,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01kqrez1039nkf7009cgjn7mth','ingest','default','vid_01kqrez103n56qzy5ed8n30pn9','queued',NULL,0.0,1,'ingest_failed','Once more.','2026-05-04 03:02:01.987654','2026-05-04 03:02:01.987654',NULL,NULL,NULL,NULL,NULL,2,'2026-05-04 03:02:03.095127',NULL,NULL);
INSERT INTO "jobs" VALUES('job_01kqrez1fqcgd3bdecyrbgkv4w','ingest','cats','vid_01kqrez1fqg0y3xtt21wfdc95m','queued',NULL,0.0,0,NULL,NULL,'2026-05-04 03:02:02.487654',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES('job_01kqrez1fqrdm9bw5z1vz8cfv8','ingest','default','vid_01kqrez1fqm6agd9t5swcmbr2b','queued',NULL,0.0,0,NULL,NULL,'2026-05-04 03:02:02.487654',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
CREATE TABLE label_sets (
	name VARCHAR(63) NOT NULL, 
	labels JSON NOT NULL, 
	templates JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_label_sets PRIMARY KEY (name)
);
INSERT INTO "label_sets" VALUES('pets','["cat", "dog"]','["a video of a {}."]','2026-05-04 03:02:02.487654','2026-05-04 03:02:02.487654');
CREATE TABLE metadata_terms (
	video_id VARCHAR(40) NOT NULL, 
	ordinal INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	term TEXT, 
	number BLOB, 
	string BLOB, 
	CONSTRAINT pk_metadata_terms PRIMARY KEY (video_id, ordinal), 
	CONSTRAINT fk_metadata_terms_video_id FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE
);
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1038t9xc6pfs075ncsv',0,'"camera"','"north"',NULL,X'6E6F727468');
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1038t9xc6pfs075ncsv',1,'"n"','7',X'C01C0000000000008000',NULL);
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1038t9xc6pfs075ncsv',2,'"tags"','"a"',NULL,X'61');
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1038t9xc6pfs075ncsv',3,'"tags"','"b"',NULL,X'62');
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1038t9xc6pfs075ncsv',4,'"place"',NULL,NULL,NULL);
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1038t9xc6pfs075ncsv',5,'"\u00e9"','null',NULL,NULL);
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1037y2atv3vb5yk8n78',0,'"camera"','"south"',NULL,X'736F757468');
INSERT INTO "metadata_terms" VALUES('vid_01kqrez1037y2atv3vb5yk8n78',1,'"n"','1180591620717411303424',X'C4500000000000008000',NULL);
CREATE TABLE removals (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	target TEXT NOT NULL, 
	"offset" BIGINT, 
	length BIGINT, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_removals PRIMARY KEY (id)
);
INSERT INTO "removals" VALUES(1,'tensor','wrk.tensors',1099511627776,300,'2026-05-04 03:02:01.987654');
INSERT INTO "removals" VALUES(2,'content','760f3c525ed93b079b585095f15802757839621d4a14f4f07706183b2932d71a',NULL,NULL,'2026-05-04 03:02:01.987654');
INSERT INTO "removals" VALUES(3,'thumbnails','vid_01kqrez103vgrk0v7ydfbewesr',NULL,NULL,'2026-05-04 03:02:01.987654');
CREATE TABLE secrets (
	name VARCHAR(63) NOT NULL, 
	value BLOB NOT NULL, 
	CONSTRAINT pk_secrets PRIMARY KEY (name)
);
INSERT INTO "secrets" VALUES('worker',X'242FF32DC51A3831EA0EE00D3CDF7855CA588508DE89C051B2CDD574C89360F0');
CREATE TABLE segments (
	"row" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR(40) NOT NULL, 
	collection VARCHAR(63) NOT NULL, 
	video_id VARCHAR(40) NOT NULL, 
	position INTEGER NOT NULL, 
	start_s DOUBLE NOT NULL, 
	end_s DOUBLE NOT NULL, 
	tensor_file TEXT NOT NULL, 
	tensor_offset BIGINT NOT NULL, 
	tensor_length BIGINT NOT NULL, 
	tensor_crc32 BIGINT NOT NULL, 
	CONSTRAINT fk_segments_video_id FOREIGN KEY(video_id) REFERENCES videos (id) ON DELETE CASCADE, 
	CONSTRAINT uq_segments_id UNIQUE (id), 
	CONSTRAINT uq_segments_video_id_position UNIQUE (video_id, position)
);
INSERT INTO "segments" VALUES(1,'seg_01kqrez1031vq0377qs05283bs','default','vid_01kqrez1038t9xc6pfs075ncsv',0,0.0,5.0,'wrk.tensors',1099511627776,100,4294967295);
INSERT INTO "segments" VALUES(2,'seg_01kqrez1030bvy3hdkpg8xq30d','default','vid_01kqrez1038t9xc6pfs075ncsv',1,2.5,7.5,'wrk.tensors',1099511627876,100,4294967294);
INSERT INTO "segments" VALUES(3,'seg_01kqrez103hc52qe241jyebvch','default','vid_01kqrez1038t9xc6pfs075ncsv',2,5.0,10.0,'wrk.tensors',1099511627976,100,4294967293);
INSERT INTO "segments" VALUES(4,'seg_01kqrez103rk2201bcy6c3j92e','default','vid_01kqrez1037y2atv3vb5yk8n78',0,0.0,5.0,'wrk.tensors',1099511627776,100,4294967295);
INSERT INTO "segments" VALUES(5,'seg_01kqrez103kffwftf6vab99ggg','default','vid_01kqrez1037y2atv3vb5yk8n78',1,2.5,7.5,'wrk.tensors',1099511627876,100,4294967294);
INSERT INTO "segments" VALUES(6,'seg_01kqrez103mjyarr3bm52ka29d','default','vid_01kqrez1037y2atv3vb5yk8n78',2,5.0,10.0,'wrk.tensors',1099511627976,100,4294967293);
INSERT INTO "segments" VALUES(7,'seg_01kqrez1038ccn1q87cdd5s2jc','cats','vid_01kqrez103h7m6w0ysqtm7qmvm',0,0.0,5.0,'wrk.tensors',1099511627776,100,4294967295);
INSERT INTO "segments" VALUES(8,'seg_01kqrez103nvzbvs9vncfsfm9y','cats','vid_01kqrez103h7m6w0ysqtm7qmvm',1,2.5,7.5,'wrk.tensors',1099511627876,100,4294967294);
CREATE TABLE uploads (
	id VARCHAR(40) NOT NULL, 
	collection VARCHAR(63) NOT NULL, 
	owner VARCHAR(40) NOT NULL, 
	length BIGINT NOT NULL, 
	filename TEXT NOT NULL, 
	content_type TEXT NOT NULL, 
	metadata JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	video_id VARCHAR(40), 
	job_id VARCHAR(40), 
	CONSTRAINT pk_uploads PRIMARY KEY (id), 
	CONSTRAINT fk_uploads_collection FOREIGN KEY(collection) REFERENCES collections (name) ON DELETE CASCADE
);
INSERT INTO "uploads" VALUES('upl_01kqrez1fqeer7v9ppb3n0xjtw','cats','key_01kqrez1fqf0pkznzpj2rk0b30',1000,'half.mp4','video/mp4','{"half": true}','2026-05-04 03:02:02.487654','2026-05-05 03:02:02.487654',NULL,NULL);
INSERT INTO "uploads" VALUES('upl_01kqrez1fqkb8g06ca8xnwyeak','default','key_01kqrez1fqf0pkznzpj2rk0b30',1000,'half.mp4','video/mp4','{"half": true}','2026-05-04 03:02:02.487654','2026-05-05 03:02:02.487654','vid_01kqrez1fqm6agd9t5swcmbr2b','job_01kqrez1fqrdm9bw5z1vz8cfv8');
CREATE TABLE videos (
	id VARCHAR(40) NOT NULL, 
	collection VARCHAR(63) NOT NULL, 
	filename TEXT NOT NULL, 
	content_type TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	container TEXT, 
	codec TEXT, 
	width INTEGER, 
	height INTEGER, 
	duration_s DOUBLE, 
	metadata JSON NOT NULL, 
	error_code TEXT, 
	error_message TEXT, 
	created_at DATETIME NOT NULL, 
	job_id VARCHAR(40) NOT NULL, lost_s DOUBLE, 
	CONSTRAINT pk_videos PRIMARY KEY (id), 
	CONSTRAINT fk_videos_collection FOREIGN KEY(collection) REFERENCES collections (name) ON DELETE CASCADE, 
	CONSTRAINT uq_videos_collection_sha256 UNIQUE (collection, sha256)
);
INSERT INTO "videos" VALUES('vid_01kqrez1038t9xc6pfs075ncsv','default','north.mp4','video/mp4',5000000000,'cebd708cbc58e03473b851dc2370cc9b9e5879f445acab5ce90271052b379c69','ready','mov,mp4','h264',64,48,12.5,'{"camera": "north", "n": 7, "tags": ["a", "b"], "place": {"city": "x"}, "\u00e9": null}',NULL,NULL,'2026-05-04 03:02:01.987654','job_01kqrez103ws9439vw2ck5vz2v',0.0);
INSERT INTO "videos" VALUES('vid_01kqrez1037y2atv3vb5yk8n78','default','south.mp4','video/mp4',5000000000,'d4b2595653bdb6141cff390a2b2547ce5c0f7382d4408f180725de7029a33fee','ready','mov,mp4','h264',64,48,12.5,'{"camera": "south", "n": 1180591620717411303424}',NULL,NULL,'2026-05-04 03:02:01.987654','job_01kqrez103c2fy9xa544bv7anr',0.0);
INSERT INTO "videos" VALUES('vid_01kqrez103h7m6w0ysqtm7qmvm','cats','cat.mp4','video/mp4',5000000000,'2eb1de2bf541e971b33622168f40746a6ba1e383340228c59a55b66e9725810f','ready','mov,mp4','h264',64,48,12.5,'{}',NULL,NULL,'2026-05-04 03:02:01.987654','job_01kqrez103qbqjn3xnxzy3q731',0.0);
INSERT INTO "videos" VALUES('vid_01kqrez10305ser2spf31z0b7b','default','broken.mp4','video/mp4',5000000000,'c1b9eafdd9a39702aba9dbdf17d039846c9190cf4c547e60233c269cedb3eb95','failed',NULL,NULL,NULL,NULL,NULL,'{}','unreadable_video','Damaged.','2026-05-04 03:02:01.987654','job_01kqrez103ngrgqdvdyzedj0h0',NULL);
INSERT INTO "videos" VALUES('vid_01kqrez103c179askcez47p7ns','default','canceled.mp4','video/mp4',5000000000,'78bcfdb9d539d6ff5da7f8d9e0af31cf88431ffdc14643c602a32c5f10045168','failed',NULL,NULL,NULL,NULL,NULL,'{}','canceled','The ingest was canceled.','2026-05-04 03:02:01.987654','job_01kqrez1030rk06qx7h6skavjw',NULL);
INSERT INTO "videos" VALUES('vid_01kqrez103b73kwbq8vj01pbxs','default','running.mp4','video/mp4',5000000000,'86a8e0ed37d03cfbd86c8d10031f3b4ad0363862188b69d6bbd2a0581f9c36e2','processing',NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,'2026-05-04 03:02:01.987654','job_01kqrez10365rdaf2jvasj8j75',NULL);
INSERT INTO "videos" VALUES('vid_01kqrez103n56qzy5ed8n30pn9','default','again.mp4','video/mp4',5000000000,'7e5f6b37bba8263dfe533f25c1928d8e5a500af79447ab1bcbd10f78d9dc742a','processing',NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,'2026-05-04 03:02:01.987654','job_01kqrez1039nkf7009cgjn7mth',NULL);
INSERT INTO "videos" VALUES('vid_01kqrez1fqg0y3xtt21wfdc95m','cats','waiting.mp4','video/mp4',5000000000,'56449b8ae909600967efc5b4573c54b028d5a7a036d30d559e6ed33e1b78e87f','processing',NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,'2026-05-04 03:02:02.487654','job_01kqrez1fqcgd3bdecyrbgkv4w',NULL);
INSERT INTO "videos" VALUES('vid_01kqrez1fqm6agd9t5swcmbr2b','default','whole.mp4','video/mp4',5000000000,'b280a4159376897023cf80c0a5800e955ac159fcb541580b0530a83ef7dd16ab','processing',NULL,NULL,NULL,NULL,NULL,'{}',NULL,NULL,'2026-05-04 03:02:02.487654','job_01kqrez1fqrdm9bw5z1vz8cfv8',NULL);
CREATE INDEX ix_jobs_status_id ON jobs (status, id);
CREATE INDEX ix_jobs_video_id ON jobs (video_id);
CREATE INDEX ix_videos_collection_id ON videos (collection, id);
CREATE INDEX ix_videos_sha256 ON videos (sha256);
CREATE INDEX ix_segments_collection_row ON segments (collection, "row");
CREATE INDEX ix_metadata_terms_key_term_video_id ON metadata_terms ("key", term, video_id);
CREATE INDEX ix_metadata_terms_key_number_video_id ON metadata_terms ("key", number, video_id);
CREATE INDEX ix_uploads_expires_at ON uploads (expires_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('segments',11);
COMMIT;
