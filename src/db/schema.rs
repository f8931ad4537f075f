// @generated automatically by Diesel CLI.

diesel::table! {
    accounts (email) {
        email -> Text,
        username -> Text,
        name -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        super_admin -> Bool,
        disabled -> Bool,
        created_at -> Int8,
    }
}

diesel::table! {
    alerts (id) {
        id -> Int8,
        alert_type -> Text,
        message -> Text,
        created_at -> Int8,
        acknowledged -> Bool,
        workspace_id -> Text,
        trigger_path -> Text,
        is_open -> Bool,
    }
}

diesel::table! {
    audit (id) {
        id -> Int8,
        workspace_id -> Text,
        at -> Int8,
        username -> Text,
        email -> Text,
        operation -> Text,
        resource -> Text,
        token_prefix -> Text,
        source -> Text,
        changes -> Nullable<Text>,
    }
}

diesel::table! {
    capture_configs (workspace_id, path, is_flow) {
        workspace_id -> Text,
        path -> Text,
        is_flow -> Bool,
        trigger_config -> Text,
        username -> Text,
        version -> Int8,
        last_client_ping -> Nullable<Int8>,
        server_id -> Nullable<Text>,
        last_server_ping -> Nullable<Int8>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    captures (id) {
        id -> Int8,
        workspace_id -> Text,
        path -> Text,
        is_flow -> Bool,
        created_at -> Int8,
        text -> Text,
        bytes -> Int8,
        is_base64 -> Bool,
        url -> Text,
        verdict -> Text,
    }
}

diesel::table! {
    completed (id) {
        id -> Bytea,
        workspace_id -> Text,
        kind -> Text,
        runnable_path -> Nullable<Text>,
        runnable_hash -> Nullable<Int8>,
        raw -> Nullable<Text>,
        args -> Text,
        preprocessed -> Bool,
        trigger_kind -> Nullable<Text>,
        trigger_path -> Nullable<Text>,
        created_by -> Text,
        permissioned_as -> Text,
        parent_job -> Nullable<Bytea>,
        root_job -> Nullable<Bytea>,
        flow_step_id -> Nullable<Text>,
        tag -> Nullable<Text>,
        created_at -> Int8,
        started_at -> Int8,
        completed_at -> Int8,
        success -> Bool,
        canceled_by -> Nullable<Text>,
        cancel_reason -> Nullable<Text>,
        result -> Text,
        worker -> Nullable<Text>,
    }
}

diesel::table! {
    connection_log (id) {
        id -> Int8,
        workspace_id -> Text,
        trigger_path -> Text,
        first_at -> Int8,
        at -> Int8,
        event -> Text,
        text -> Text,
        times -> Int8,
        server_id -> Nullable<Text>,
    }
}

diesel::table! {
    erasures (due_at, job_id) {
        due_at -> Int8,
        job_id -> Bytea,
    }
}

diesel::table! {
    flow_runs (job_id) {
        job_id -> Bytea,
        revision -> Int8,
        status -> Text,
    }
}

diesel::table! {
    flow_values (job_id, name) {
        job_id -> Bytea,
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    flows (workspace_id, version) {
        workspace_id -> Text,
        version -> Int8,
        path -> Text,
        summary -> Text,
        description -> Text,
        value -> Text,
        schema_json -> Nullable<Text>,
        preprocessor -> Nullable<Text>,
        tag -> Nullable<Text>,
        timeout_secs -> Nullable<Int4>,
        settings -> Text,
        created_by -> Text,
        created_at -> Int8,
        archived -> Bool,
        deleted -> Bool,
    }
}

diesel::table! {
    folders (workspace_id, name) {
        workspace_id -> Text,
        name -> Text,
        display_name -> Text,
        owners -> Text,
        extra_perms -> Text,
        summary -> Nullable<Text>,
        created_by -> Text,
        edited_at -> Int8,
        labels -> Text,
        default_permissioned_as -> Text,
    }
}

diesel::table! {
    group_members (workspace_id, username, group_name) {
        workspace_id -> Text,
        group_name -> Text,
        username -> Text,
    }
}

diesel::table! {
    job_logs (job_id, piece) {
        job_id -> Bytea,
        piece -> Int4,
        text -> Text,
    }
}

diesel::table! {
    job_notes (job_id, name) {
        job_id -> Bytea,
        name -> Text,
        value -> Text,
        noted_at -> Int8,
    }
}

diesel::table! {
    lane_ends (lane_key, ended_at, job_id) {
        lane_key -> Text,
        ended_at -> Int8,
        job_id -> Bytea,
    }
}

diesel::table! {
    lanes (key) {
        key -> Text,
        max_jobs -> Nullable<Int8>,
        ordered -> Bool,
        window_us -> Int8,
        last_turn -> Int8,
        wake_at -> Nullable<Int8>,
    }
}

diesel::table! {
    message_samples (workspace_id, kind, path, name) {
        workspace_id -> Text,
        kind -> Text,
        path -> Text,
        name -> Text,
        text -> Text,
        created_by -> Text,
        created_at -> Int8,
    }
}

diesel::table! {
    queue (id) {
        id -> Bytea,
        workspace_id -> Text,
        kind -> Text,
        runnable_path -> Nullable<Text>,
        runnable_hash -> Nullable<Int8>,
        raw -> Nullable<Text>,
        args -> Text,
        preprocess -> Bool,
        trigger_kind -> Nullable<Text>,
        trigger_path -> Nullable<Text>,
        created_by -> Text,
        permissioned_as -> Text,
        parent_job -> Nullable<Bytea>,
        root_job -> Nullable<Bytea>,
        flow_step_id -> Nullable<Text>,
        tag -> Nullable<Text>,
        priority -> Int4,
        created_at -> Int8,
        scheduled_at -> Int8,
        timeout_secs -> Nullable<Int4>,
        reply_to -> Nullable<Int8>,
        options -> Nullable<Text>,
        state -> Int4,
        worker -> Nullable<Text>,
        started_at -> Nullable<Int8>,
        lease_until -> Nullable<Int8>,
        lost -> Int4,
        canceled_by -> Nullable<Text>,
        cancel_reason -> Nullable<Text>,
        turn -> Nullable<Int8>,
        concurrency_key -> Nullable<Text>,
        depth -> Int4,
    }
}

diesel::table! {
    remotes (workspace_id) {
        workspace_id -> Text,
        base_url -> Text,
        workspace -> Text,
        token_variable -> Text,
        edited_by -> Text,
        edited_at -> Int8,
    }
}

diesel::table! {
    resources (workspace_id, path) {
        workspace_id -> Text,
        path -> Text,
        value -> Text,
        resource_type -> Text,
        description -> Text,
        extra_perms -> Text,
        edited_by -> Text,
        edited_at -> Int8,
        labels -> Text,
    }
}

diesel::table! {
    runnable_perms (workspace_id, is_flow, path) {
        workspace_id -> Text,
        is_flow -> Bool,
        path -> Text,
        extra_perms -> Text,
    }
}

diesel::table! {
    scripts (workspace_id, hash) {
        workspace_id -> Text,
        hash -> Int8,
        path -> Text,
        parent_hash -> Nullable<Int8>,
        summary -> Text,
        description -> Text,
        content -> Text,
        language -> Text,
        kind -> Text,
        schema_json -> Nullable<Text>,
        preprocessor -> Nullable<Text>,
        lock -> Nullable<Text>,
        tag -> Nullable<Text>,
        timeout_secs -> Nullable<Int4>,
        dedicated_worker -> Nullable<Bool>,
        settings -> Text,
        created_by -> Text,
        created_at -> Int8,
        archived -> Bool,
        deleted -> Bool,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    tokens (hash) {
        hash -> Bytea,
        prefix -> Text,
        kind -> Text,
        username -> Text,
        email -> Text,
        super_admin -> Bool,
        label -> Nullable<Text>,
        workspace_id -> Nullable<Text>,
        scopes -> Nullable<Text>,
        read_only -> Bool,
        created_at -> Int8,
        expires_at -> Nullable<Int8>,
        last_used_at -> Int8,
    }
}

diesel::table! {
    trigger_vars (workspace_id, trigger_path, name) {
        workspace_id -> Text,
        trigger_path -> Text,
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    triggers (workspace_id, path) {
        workspace_id -> Text,
        path -> Text,
        script_path -> Text,
        is_flow -> Bool,
        url -> Text,
        mode -> Text,
        filters -> Text,
        filter_logic -> Text,
        initial_messages -> Nullable<Text>,
        url_runnable_args -> Nullable<Text>,
        can_return_message -> Bool,
        can_return_error_result -> Bool,
        heartbeat -> Nullable<Text>,
        error_handler_path -> Nullable<Text>,
        error_handler_args -> Nullable<Text>,
        retry -> Nullable<Text>,
        permissioned_as -> Text,
        labels -> Text,
        extra_perms -> Text,
        options -> Text,
        edited_by -> Text,
        edited_at -> Int8,
        version -> Int8,
        server_id -> Nullable<Text>,
        last_server_ping -> Nullable<Int8>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    user_groups (workspace_id, name) {
        workspace_id -> Text,
        name -> Text,
        summary -> Text,
        created_at -> Int8,
    }
}

diesel::table! {
    users (workspace_id, username) {
        workspace_id -> Text,
        username -> Text,
        email -> Text,
        is_admin -> Bool,
        operator -> Bool,
        disabled -> Bool,
        created_at -> Int8,
    }
}

diesel::table! {
    variables (workspace_id, path) {
        workspace_id -> Text,
        path -> Text,
        value -> Text,
        is_secret -> Bool,
        description -> Text,
        extra_perms -> Text,
        edited_by -> Text,
        edited_at -> Int8,
        labels -> Text,
    }
}

diesel::table! {
    workspaces (id) {
        id -> Text,
        name -> Text,
        owner -> Text,
        created_at -> Int8,
    }
}

diesel::joinable!(flows -> workspaces (workspace_id));
diesel::joinable!(folders -> workspaces (workspace_id));
diesel::joinable!(remotes -> workspaces (workspace_id));
diesel::joinable!(resources -> workspaces (workspace_id));
diesel::joinable!(runnable_perms -> workspaces (workspace_id));
diesel::joinable!(scripts -> workspaces (workspace_id));
diesel::joinable!(triggers -> workspaces (workspace_id));
diesel::joinable!(user_groups -> workspaces (workspace_id));
diesel::joinable!(users -> workspaces (workspace_id));
diesel::joinable!(variables -> workspaces (workspace_id));

diesel::allow_tables_to_appear_in_same_query!(
    capture_configs,
    captures,
    completed,
    connection_log,
    erasures,
    flow_runs,
    flow_values,
    flows,
    folders,
    job_logs,
    job_notes,
    message_samples,
    queue,
    remotes,
    resources,
    runnable_perms,
    scripts,
    tokens,
    triggers,
    user_groups,
    users,
    variables,
    workspaces,
);
